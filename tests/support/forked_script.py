"""Scripts in processes of their own that import nothing again: forks of the nursery that has read a training config."""

RUN = """
import os, runpy, sys

def run(argv):
    sys.argv = argv
    sys.path.insert(0, os.path.dirname(argv[0]))
    runpy.run_path(argv[0], run_name="__main__")
    return 0
"""


def run_script(nursery, folder, script, *arguments):
    """What a script said, which must end well.

    Args:
        nursery: `training_nursery`.
        folder: where it runs.
        script: its path; what lies beside it can be imported.
        arguments: of its command line.
    """
    said = folder / f"said by {script.stem}"
    nursery.start(folder, [script, *arguments], RUN, said)
    status = nursery.wait()
    assert status == 0, said.read_text(encoding="utf-8")[-3000:]
    return said.read_text(encoding="utf-8")
