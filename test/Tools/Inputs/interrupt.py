"""Runs a program, presses Ctrl-C when it has begun to write in a folder, and prints its end and what it left there.

usage: interrupt.py FOLDER PROGRAM ARGUMENT...
"""

import os
import signal
import subprocess
import sys
import time


def main():
    folder, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not any(os.path.isdir(os.path.join(folder, name)) for name in os.listdir(folder)):
        time.sleep(0.01)
    # Into the work itself.
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    print(f"exit {process.returncode}: {errors.splitlines()[-1]}")
    print("left:", " ".join(os.listdir(folder)) or "nothing")


if __name__ == "__main__":
    main()
