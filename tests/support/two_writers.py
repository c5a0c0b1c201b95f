"""Two processes that write one file at once, played by two threads."""

import threading


def overtake(monkeypatch, module, save):
    """Have `save` run once the main thread has read the file that it is about to write; returns what waits for it.

    Args:
        monkeypatch: of the test.
        module: reads the file by its `_load`.
        save: of the other writer.
    """
    other, load = threading.Thread(target=save), module._load

    def read_and_be_overtaken(path):
        found = load(path)
        if threading.current_thread() is threading.main_thread():
            other.start()
            other.join(0.5)
        return found

    monkeypatch.setattr(module, "_load", read_and_be_overtaken)
    return other.join
