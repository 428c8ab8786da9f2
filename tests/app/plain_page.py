"""A page that shows texts of people wherever the explorer shows them."""

import streamlit as st

from app.plain import plain


TEXTS = [
    "$5 and $6, $$x$$ \\alpha \\( x \\)",
    "*a* _b_ **c** __d__ ~~s~~ ^x^ ~y~ `code` ``x``",
    "my*notes*_v2_.txt",
    ":red[x] :smile: :material/home: :streamlit: :rainbow[hi] :red-background[a]",
    "<b>x</b> &amp; &#42; <script>document.title='seen'</script>",
    "a -> b <- c <-> d -- e >= f <= g ~= h",
    "https://evil.example/x?y www.evil.example me@evil.example ftp://a.b mailto:a@b.c",
    "[a](javascript:alert(1)) ![i](http://x/y.png) | a | b | [[a]] {x} [^1] [x]: y",
    "# head",
    "- item",
    "1. item",
    "1) item",
    "> quote",
    "    code",
    "* * *",
    "---",
    "::: note",
    "\x00\x1b[31m\u202eab\u202c\u2066\ud800",
    "a\nb\n\nc",
    "परिवार \U0001f468\u200d\U0001f469\u200d\U0001f467 保险箱",
    "'x' \"y\" ... (c) (tm) a\\*b https\\://x.y",
]


def main():
    for i, text in enumerate(TEXTS):
        with st.container(key=f"text-{i}"):
            st.caption(f"said: {plain(text)}")
            st.error(plain(text))
            st.table({"name": plain(text)})


if __name__ == "__main__":
    main()
