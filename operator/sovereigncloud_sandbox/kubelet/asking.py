"""Execute one probe of a container: HTTP, TCP or command."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from sovereigncloud_sandbox.kubelet.probes import Probe, port_of
from sovereigncloud_sandbox.kubelet.processes import output_of

Json = dict[str, Any]
_SHOWN = 200


async def answer(
    session: aiohttp.ClientSession,
    probe: Probe,
    container: Json,
    ip: str,
    inside: Sequence[str],
    environment: Mapping[str, str],
) -> tuple[bool, str]:
    """Whether it went well, and what was said. `inside` is the command that enters the container."""
    action = probe.action
    try:
        if "httpGet" in action:
            return await _http(session, probe, container, ip)
        if "tcpSocket" in action:
            socket = action["tcpSocket"]
            return await _tcp(socket.get("host") or ip, port_of(container, socket["port"]), probe.timeout)
        if "exec" in action:
            command = [*inside, *action["exec"]["command"]]
            code, said = await output_of(command, env=environment, seconds=probe.timeout)
            return code == 0, said.strip()[:_SHOWN]
    except TimeoutError:
        return False, f"no answer within {probe.timeout:g} s"
    except (OSError, ValueError, aiohttp.ClientError) as error:
        return False, str(error)[:_SHOWN]
    return False, f"the sandbox has no probes like this one: {', '.join(action)}"


async def _http(session: aiohttp.ClientSession, probe: Probe, container: Json, ip: str) -> tuple[bool, str]:
    """200 to 399 is well; redirects to the same host are not followed here."""
    get = probe.action["httpGet"]
    scheme, host = str(get.get("scheme") or "HTTP").lower(), get.get("host") or ip
    url = f"{scheme}://{host}:{port_of(container, get['port'])}/{str(get.get('path') or '/').lstrip('/')}"
    headers = {header["name"]: header["value"] for header in get.get("httpHeaders") or ()}
    headers.setdefault("User-Agent", "kube-probe/1.36")
    timeout = aiohttp.ClientTimeout(total=probe.timeout)
    async with session.get(url, headers=headers, timeout=timeout, ssl=False, allow_redirects=False) as reply:
        return 200 <= reply.status < 400, f"HTTP probe failed with statuscode: {reply.status}"


async def _tcp(host: str, port: int, seconds: float) -> tuple[bool, str]:
    _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), seconds)
    writer.close()
    return True, ""
