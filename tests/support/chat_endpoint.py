"""A real HTTP endpoint that answers chat completions as a test says, and remembers what it was asked."""

import asyncio
import base64
import contextlib
import threading

from aiohttp import web
from aiohttp.test_utils import TestServer


class Endpoint:
    """Answers chat completions over HTTP and remembers what it was asked."""

    def __init__(self, answer):
        self.answer, self.bodies, self.prompts = answer, [], []

    async def complete(self, request):
        body = await request.json()
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        self.bodies.append(body)
        self.prompts.append(prompt)
        text = self.answer(prompt, len(self.prompts) - 1)
        if isinstance(text, int):
            return web.json_response({"error": {"message": "not now"}}, status=text)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
        return web.json_response({"model": "m", "choices": [choice], "usage": usage})

    @property
    def pictures(self):
        """The pictures of each request, in the order of the requests."""
        found = []
        for body in self.bodies:
            content = body["messages"][-1]["content"]
            parts = [part["image_url"]["url"] for part in content if isinstance(part, dict) and "image_url" in part]
            found.append([base64.b64decode(url.partition(",")[2]) for url in parts])
        return found


@contextlib.contextmanager
def serving(endpoint):
    """The endpoint in a thread, for commands that have an event loop of their own."""
    loop, app = asyncio.new_event_loop(), web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.complete)
    server = TestServer(app, loop=loop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start_server(), loop).result()
    try:
        yield str(server.make_url("/v1"))
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
