"""A proxy that tunnels, as companies have them, and that knows some names: for these it goes elsewhere."""

import asyncio
import contextlib
import threading


class ConnectProxy:
    """Runs in a thread of its own. `names`: host name to (address, port); `asked`: whom it was asked for."""

    def __init__(self, names):
        self.names, self.asked = dict(names), []
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._tunnels = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def _serve(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_the_end())

    async def _until_the_end(self):
        """Tunnels that are open at the end are cut."""
        async with await asyncio.start_server(self._tunnel, "127.0.0.1", 0) as server:
            self._port = server.sockets[0].getsockname()[1]
            self._started.set()
            await self._ending.wait()
            for tunnel in self._tunnels:
                tunnel.cancel()
            await asyncio.gather(*self._tunnels, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close in the next turns of the loop

    async def _tunnel(self, reader, writer):
        self._tunnels.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            target = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)[1]
            self.asked.append(target)
            name, _, port = target.rpartition(":")
            host, port = self.names.get(name, (name, int(port)))
            other_reader, other_writer = await asyncio.open_connection(host, port)
            with contextlib.closing(other_writer):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_carry(reader, other_writer), _carry(other_reader, writer))


async def _carry(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
