"""A visitor without a screen: the browser's side of the connection, and no drawing.

Twenty real browsers keep two cores busy with their own start; twenty of these leave the
cores to the server. What is said on the wire is what a browser says.
"""

import asyncio
import re

import pyarrow
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg


class Visitor:
    """One session: `url` is the server's address, `query` the page's parameters."""

    def __init__(self, url: str, query: str = "", page: str = ""):
        self.url, self.query, self.page = url, query, page
        self.texts: list[str] = []
        self.tables: list[dict[str, str]] = []
        self.received = 0
        self._buttons: dict[str, tuple[str, str]] = {}
        self._cached: dict[str, ForwardMsg] = {}

    async def arrive(self) -> "Visitor":
        socket = self.url.replace("http", "ws") + "/_stcore/stream"
        self._socket = await websockets.connect(
            socket, subprotocols=["streamlit"], max_size=None
        )
        await self._run()
        return self

    async def press(self, key: str) -> None:
        """Press the button with this key."""
        widget, fragment = self._buttons[key]
        await self._run(fragment, widget)

    async def drawn(self) -> None:
        """Report that a picture is drawn, as the page's heartbeat does."""
        await self._run(self._buttons["start"][1])

    async def leave(self) -> None:
        await self._socket.close()

    @property
    def chunk(self) -> int:
        """The number of the chunk on screen, 0 before the first."""
        found = re.search(r"\*\*Chunk ([\d,]+)\*\* of", "\n".join(self.texts))
        return int(found[1].replace(",", "")) if found else 0

    async def _run(self, fragment: str = "", pressed: str = "") -> None:
        ask = BackMsg()
        ask.rerun_script.query_string = self.query
        ask.rerun_script.fragment_id = fragment
        ask.rerun_script.page_name = self.page
        if pressed:
            state = ask.rerun_script.widget_states.widgets.add()
            state.id, state.trigger_value = pressed, True
        await self._socket.send(ask.SerializeToString())
        self.texts, self.tables = [], []
        while True:
            data = await asyncio.wait_for(self._socket.recv(), 120)
            self.received += len(data)
            if self._hear(ForwardMsg.FromString(data)):
                return

    def _hear(self, message: ForwardMsg) -> bool:
        """Keep what a message shows; whether it says that the run is over."""
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            return self._hear(self._cached[message.ref_hash])
        if message.hash:
            self._cached[message.hash] = message
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            self.texts += [element.markdown.body, element.html.body]
            if element.HasField("table"):
                table = pyarrow.ipc.open_stream(element.table.arrow_data.data)
                values, names = table.read_all().to_pydict().values()
                self.tables.append(dict(zip(names, values, strict=True)))
            if element.HasField("button"):
                key = element.button.id.rsplit("-", 1)[-1]
                self._buttons[key] = element.button.id, message.delta.fragment_id
        return kind == "script_finished"
