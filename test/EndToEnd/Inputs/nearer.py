"""Says which of two outputs of odyssey-eval --json is nearer to a third one's perplexity.

usage: nearer.py REFERENCE.json A.json B.json
"""

import json
import sys


def loss(path):
    with open(path) as file:
        return json.load(file)["text"]["loss"]


reference, *paths = sys.argv[1:]
distances = {path: abs(loss(path) - loss(reference)) for path in paths}
nearest, other = sorted(distances, key=distances.get)
print(f"{nearest} is nearer: {distances[nearest]:.5f} against {distances[other]:.5f}")
