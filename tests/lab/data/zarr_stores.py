"""Small stores, as the paper's authors publish large ones."""

import numpy as np
import tensorstore


def write(folder, split, tokens, dtype="uint32"):
    """A one-dimensional array as the authors' stores have them, in small chunks."""
    shuffled = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4}
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": {**shuffled, "blocksize": 0}},
    ]
    grid = {"name": "regular", "configuration": {"chunk_shape": [128]}}
    array = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(folder / split)},
            "metadata": {
                "shape": [len(tokens)],
                "data_type": dtype,
                "chunk_grid": grid,
                "codecs": codecs,
            },
        },
        create=True,
    ).result()
    array.write(np.asarray(tokens, array.dtype.numpy_dtype)).result()
