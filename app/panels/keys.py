"""The space bar plays and pauses, wherever the focus is, unless a control needs it.

A shortcut of Streamlit's own buttons takes the key from every other button: with the
focus on Reset, Space would press Play. So the page listens itself. A control that does
something with the space bar keeps it; a slider and a choice that is chosen already have
no use for it, and there it plays and pauses as everywhere else.
"""

import streamlit as st


_LISTEN = """
// Controls that do something when the space bar is pressed.
const TYPED = "input:not([type=range]):not([type=radio]), textarea, select, " +
  "[contenteditable=''], [contenteditable=true], [role=textbox], [role=combobox], " +
  "[role=listbox], [role=option], [role=menuitem]";
const PRESSED = "button, a[href], summary, input[type=radio], [role=button], " +
  "[role=tab], [role=checkbox], [role=switch], [role=radio]";
const CHOSEN = "[aria-checked=true], [aria-pressed=true], [aria-selected=true]";

function needsSpace(element) {
  if (!element || !element.closest) return false;
  if (element.closest(TYPED)) return true;
  const pressed = element.closest(PRESSED);
  if (!pressed) return false;
  const choice = pressed.closest("[role=radiogroup], [data-testid=stButtonGroup]");
  return !(choice && (pressed.checked || pressed.matches(CHOSEN)));
}

export default function ({ data }) {
  let taken = false;
  const press = (event) => {
    if (event.key !== " " || event.ctrlKey || event.altKey || event.metaKey ||
        event.shiftKey || event.isComposing) return;
    const target = event.composedPath()[0];
    if (event.type === "keyup" ? !taken : needsSpace(target)) return;
    const button = [...document.querySelectorAll(`.st-key-${data.button} button`)]
      .find((one) => !one.disabled);
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    taken = event.type === "keydown";
    if (taken && !event.repeat) button.click();
  };
  document.addEventListener("keydown", press, true);
  document.addEventListener("keyup", press, true);
  return () => {
    document.removeEventListener("keydown", press, true);
    document.removeEventListener("keyup", press, true);
  };
}
"""


def space(button: str) -> None:
    """Let the space bar press the button with the key `button`."""
    component = st.components.v2.component("keys", js=_LISTEN)
    component(key="keys", data={"button": button}, height=1)
