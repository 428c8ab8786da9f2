"""The verbs of `ttt-lab`, one file each: options in, table out, result kept."""
