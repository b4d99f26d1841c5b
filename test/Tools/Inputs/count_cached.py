"""usage: count_cached.py BUNDLE < what odyssey-compile printed

Says whether as many kernels came from the cache as the bundle has modules.
"""

import re
import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
(count,) = struct.unpack_from("<I", data, 12)
names = [data[32 + 64 * i : 72 + 64 * i].rstrip(b"\0").decode() for i in range(count)]
kernels = sum(name.endswith(".ptx") for name in names)
found = re.search(r"(\d+) kernels from the cache", sys.stdin.read())
cached = int(found.group(1)) if found else 0
print("all kernels came" if cached == kernels else f"{cached} of {kernels} came", "from the cache")
