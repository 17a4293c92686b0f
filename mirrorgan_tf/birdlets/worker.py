"""A process that draws images of a data set and writes a byte to stdout for each."""

import json
import sys

from mirrorgan_tf.birdlets.dataset import draw_files


def main() -> int:
    """Draws every `workers`-th image, starting with image number `worker`.

    The command line has one argument: JSON of folder, seed, counts, workers and worker.
    """
    job = json.loads(sys.argv[1])
    jobs = [
        (split, index)
        for split, count in job["counts"].items()
        for index in range(job["worker"], count, job["workers"])
    ]
    try:
        for _ in draw_files(job["folder"], job["seed"], jobs):
            sys.stdout.buffer.write(b".")
            sys.stdout.buffer.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        # The parent process has ended.
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
