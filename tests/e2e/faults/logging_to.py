"""Becomes another module's process, whose output goes to a file: logging_to FILE MODULE …"""

import os
import sys

if __name__ == "__main__":
    file, *command = sys.argv[1:]
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.execv(sys.executable, [sys.executable, "-m", *command])
