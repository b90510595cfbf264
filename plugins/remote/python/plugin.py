"""A Meridian plugin in Python: blobs in a folder, soft state in memory.

    python plugin.py --listen 127.0.0.1:7700 --root FOLDER

Prints `listening on ADDRESS` once it serves. SIGTERM and SIGINT end it after open calls.
"""

import argparse
import signal
import sys
import tempfile
import threading
from concurrent import futures
from pathlib import Path

import grpc

PROTOCOL = 1
# Calls at once: each one holds a thread.
THREADS = 64
# Calls at once and calls that wait for a thread. One more is turned away, and the node sees `busy`.
CALLS = 1024
SWEEP_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Meridian plugin: Blobs and SoftState")
    parser.add_argument("--listen", default="127.0.0.1:7700", help="address; port 0 takes a free one")
    parser.add_argument("--root", type=Path, required=True, help="folder of the blobs")
    parser.add_argument("--stubs", type=Path, help="folder of generated stubs (default: made for this run)")
    options = parser.parse_args()
    if options.stubs is None:
        with tempfile.TemporaryDirectory() as folder:
            from stubs import generate

            generate(Path(folder))
            serve(options, Path(folder))
    else:
        serve(options, options.stubs)


def serve(options, stubs: Path) -> None:
    sys.path.insert(0, str(stubs))
    import plugin_pb2 as messages
    import plugin_pb2_grpc as services
    from blobs import Blobs
    from soft import SoftState

    class Plugin(services.PluginServicer):
        def Describe(self, request, context):
            return messages.DescribeResponse(
                protocol=PROTOCOL, name="python-files", version="1.0.0", contracts=["blobs", "soft"]
            )

    pool = futures.ThreadPoolExecutor(max_workers=THREADS)
    server = grpc.server(pool, maximum_concurrent_rpcs=CALLS)
    soft = SoftState()
    services.add_PluginServicer_to_server(Plugin(), server)
    services.add_BlobsServicer_to_server(Blobs(options.root), server)
    services.add_SoftStateServicer_to_server(soft, server)
    port = server.add_insecure_port(options.listen)
    server.start()
    host = options.listen.rsplit(":", 1)[0]
    print(f"listening on {host}:{port}", flush=True)

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(SWEEP_SECONDS):
        soft.sweep()
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
