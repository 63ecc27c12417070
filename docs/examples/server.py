"""A trained network behind HTTP: samples come in as JSON, what the network predicts goes out.

    python docs/examples/server.py --model model.safetensors
    curl -d '[[0.0, 0.1, ...]]' localhost:8000/predict

The model is a file of `MLP.save`; without one the server learns handwritten digits of 8 x 8 pixels before it starts.
/predict answers with a class or value for each sample, /proba with the probabilities of the classes. It needs
`pip install starlette uvicorn`; any other ASGI framework will do.

A prediction of a few samples takes some microseconds, less than handing it to a thread, so the event loop computes it
itself. Larger requests go to a thread: the kernels run without the interpreter's lock, and the loop goes on answering.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fastmlp import MLP

FEW, MOST = 32, 4096  # samples that the event loop predicts itself; and of a request at most


def learned_digits() -> MLP:
    """64-32-10, trained for some seconds."""
    x, y = load_digits(return_X_y=True)
    model = MLP([64, 32, 10], loss="softmax_cross_entropy", seed=0)
    model.fit(x / 16, y, epochs=20, batch_size=32, optimizer="adam")
    return model


def application(model: MLP) -> Starlette:
    """The routes: POST /predict and /proba, samples (n, I) as a list of lists; GET /health."""
    few, many = model.predictor(rows=FEW), model.predictor(rows=MOST)

    def answer(of_few: Callable, of_many: Callable) -> Callable:
        async def respond(request: Request) -> JSONResponse:
            try:
                x = np.asarray(json.loads(await request.body()), model.dtype)
                result = of_few(x) if x.shape[:1] <= (FEW,) else await run_in_threadpool(of_many, x)
            except (TypeError, ValueError) as error:  # no JSON, no numbers, another number of features, NaN
                return JSONResponse({"error": str(error)}, status_code=400)
            return JSONResponse(result.tolist())

        return respond

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"network": list(model.sizes)})

    return Starlette(
        routes=[
            Route("/predict", answer(few, many), methods=["POST"]),
            Route("/proba", answer(few.proba, many.proba), methods=["POST"]),
            Route("/health", health),
        ]
    )


def main(model: Path | None = None, port: int = 8000) -> None:
    import uvicorn

    app = application(MLP.load(model) if model else learned_digits())
    uvicorn.run(app, port=port, log_level=os.environ.get("LOG_LEVEL", "info"), access_log=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a file of MLP.save")
    parser.add_argument("--port", type=int, default=8000)
    main(**vars(parser.parse_args()))
