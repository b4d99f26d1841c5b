"""Starts a command again and again and kills it ever later, until it ends by itself.

usage: kill_compiler.py COMMAND...

Prints how often it was killed. Each run may leave behind what it has done so far.
"""

import subprocess
import sys

kills, delay = 0, 0.02
while True:
    process = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
    try:
        code = process.wait(timeout=delay)
        break
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        kills += 1
        delay *= 1.5
print(f"killed {kills} times, then ended with {code}")
