"""The course as files: notebooks, their scripts, and static pages."""
