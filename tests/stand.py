"""What stands at a place, for tests that nothing there was touched."""

import hashlib
import os
import stat


def snapshot(folder):
    """Everything below a folder, hidden things too: name -> kind, mode and content; where a link leads, not what to."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            found[os.path.relpath(path, folder)] = (oct(status.st_mode), content)
    return found


def lost(before, after):
    """Names of what was there before and is gone or changed now."""
    return sorted(name for name, state in before.items() if after.get(name) != state)
