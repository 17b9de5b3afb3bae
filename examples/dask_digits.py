"""Digits that do not fit in memory: lo.fit on Dask arrays, over two worker processes.

1 400 handwritten digits become 720 000, shifted by a pixel and with noise: 369 MB, which the workers make
block by block and forget again. No worker may hold more than 360 MB. Every step is one pass over all rows:
forward, backward and loss of each block where it lies; only sums of gradients travel. Started without an
address, it compares one worker with two.

    python examples/dask_digits.py [address of a scheduler, e.g. tcp://10.0.0.1:8786]
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.array as da
import numpy as np
from dask import delayed
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits

import tinygrad_lo as lo

SEED = 0
ROWS, BLOCK = 720_000, 40_000
TRAIN = 1400  # the first images are enlarged, the other 397 test
STEPS, TIMED = 12, 2  # of the training, and of the comparison
MEMORY = 360_000_000  # bytes for each worker


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of mean 0 and standard deviation 1, about, and labels 0..9."""
    images, labels = load_digits(return_X_y=True)
    return (images - 5.0) / 6.0, labels


def block_of_images(images: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
    """Images of a block: shifted by up to one pixel to a side, with noise; the same each time."""
    rng = np.random.default_rng([SEED, block_id[0]])
    block = rng.normal(0.0, 0.1, (BLOCK, 8, 8))
    shifted = np.roll(images[:TRAIN].reshape(-1, 8, 8), rng.integers(-1, 2), axis=2)
    block += shifted[np.arange(BLOCK) % TRAIN]
    return block.reshape(-1, 64)


def block_of_labels(labels: np.ndarray) -> np.ndarray:
    """Labels of a block."""
    return labels[np.arange(BLOCK) % TRAIN]


def enlarged(rows: int) -> tuple[da.Array, da.Array]:
    """Images and labels, none of which exists before a worker needs it."""
    images, labels = delayed(digits, nout=2)()  # a worker reads the file, once a step
    blocks = (BLOCK,) * (rows // BLOCK)
    X = da.map_blocks(block_of_images, images=images, chunks=(blocks, (64,)), meta=np.empty((0, 64)))
    y = da.map_blocks(block_of_labels, labels=labels, chunks=(blocks,), meta=np.empty(0, int))
    return X, y


@contextmanager
def workers(count: int) -> Iterator[Client]:
    """Processes of this machine, which leave nothing behind."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=MEMORY,
            local_directory=folder, dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def train(client: Client, rows: int, steps: int) -> lo.nn.Linear:
    """Steps over all rows; prints how long one took and what the workers held."""
    lo.seed(SEED)
    net = lo.nn.Linear(64, 10)
    X, y = enlarged(rows)
    optimizer = lo.optim.SGD(net, lr=0.1, momentum=0.9)
    history = lo.fit(
        net,
        lo.losses.cross_entropy,
        (X, y),
        optimizer=optimizer,
        epochs=steps,
        batch_size=None,
        progress=False,
    )
    held = client.run(most_held).values()
    print(
        f"{len(held)} worker(s), {X.nbytes / 1e6:.0f} MB of images: "
        f"{np.median(history['seconds']):.2f} s a step, loss {history['loss'][-1]:.3f}, "
        f"at most {' and '.join(f'{x / 1e6:.0f} MB' for x in held)} held"
    )
    return net


def most_held(dask_worker: Any) -> int:
    """The most memory that a worker's process had while it was watched, in bytes."""
    return max(dask_worker.monitor.quantities["memory"])


def main(address: str | None = None, rows: int = ROWS, steps: int = STEPS) -> float:
    """Train on a cluster, or with one and then two processes; the accuracy on images of other writers."""
    if address is None:
        with workers(1) as client:
            train(client, rows, TIMED)
    with Client(address) if address else workers(2) as client:
        net = train(client, rows, steps)
    images, labels = digits()
    accuracy = lo.training.accuracy(net(images[TRAIN:]), labels[TRAIN:])
    print(f"accuracy {accuracy:.3f} on {len(labels) - TRAIN} images of other writers")
    return accuracy


if __name__ == "__main__":
    main(*sys.argv[1:2])
