"""A headless Chromium, driven over its DevTools protocol: one start, one page."""

import asyncio
import itertools
import json
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found():
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def look(page: Path, profile: Path, widths, steps: int):
    """Open a page at several widths.

    Returns:
        By width: layout, and the elements that Tab reaches in order; and every request and message of the page.
    """
    return asyncio.run(_look(page, profile, widths, steps))


async def _look(page, profile, widths, steps):
    import aiohttp

    command = [found(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
    process = subprocess.Popen([*command, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(t for t in await answer.json() if t["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                return await _visit(_Page(socket), page, widths, steps)
    finally:
        process.kill()
        process.wait()


async def _port(file):
    for _ in range(600):
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        await asyncio.sleep(0.1)
    raise TimeoutError("the browser did not start")


class _Page:
    def __init__(self, socket):
        self._socket, self._numbers, self.events = socket, itertools.count(1), []

    async def send(self, method, **params):
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            said = json.loads((await self._socket.receive()).data)
            if said.get("id") == number:
                return said["result"]
            self.events.append(said)

    async def value(self, expression):
        return (await self.send("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")


_LAYOUT = """({
  width: document.documentElement.scrollWidth,
  outside: [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !e.closest('[tabindex], pre, svg, .skip, thead') ;
  }).map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`).slice(0, 5),
  broken: [...document.images].filter(i => i.complete && !i.naturalWidth).length,
  screens: [...document.querySelectorAll('section:has(> .headline)')].map(e =>
    e.querySelector('.headline').getBoundingClientRect().bottom - e.getBoundingClientRect().top),
  unfolded: [...document.querySelectorAll('details.part')].filter(e => e.lastElementChild.checkVisibility()).length,
  stops: document.querySelectorAll('a[href], summary, [tabindex="0"]').length,
})"""
_FOCUS = """(() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
  return {tag: e.tagName, text: e.textContent.trim().slice(0, 40), outline: s.outlineStyle !== 'none',
          top: b.top + scrollY, seen: b.bottom > 0 && b.top < innerHeight}; })()"""


async def _visit(page, path, widths, steps):
    layouts, focused = {}, {}
    for domain in ("Network", "Page", "Runtime", "Log"):
        await page.send(f"{domain}.enable")
    calm = [{"name": "prefers-reduced-motion", "value": "reduce"}]  # a focused element is in sight at once
    await page.send("Emulation.setEmulatedMedia", features=calm)
    for width in widths:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        await page.send("Emulation.setDeviceMetricsOverride", **size)
        await page.send("Page.navigate", url=path.as_uri())
        while await page.value("document.readyState") != "complete":
            await asyncio.sleep(0.1)
        layouts[width] = await page.value(_LAYOUT)
        focused[width] = []
        for _ in range(steps):
            for kind in ("rawKeyDown", "keyUp"):
                await page.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            focused[width].append(await page.value(_FOCUS))
    urls = [e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    said = [e["params"]["entry"]["text"] for e in page.events if e.get("method") == "Log.entryAdded"]
    return layouts, focused, urls, said
