"""The bodies of requests and answers, checked by pydantic and described by OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import JSONResponse

__all__ = [
    "ModelAnswer",
    "Problem",
    "SamplesAnswer",
    "SamplesRequest",
    "invalid",
    "limited_request",
]


class SamplesRequest(BaseModel):
    """Which samples to draw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n: Annotated[int, Field(ge=1, description="How many samples")] = 1
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="Of the latents; the same seed gives the same samples. Without one it is "
            "chosen at random, and the answer has it",
        ),
    ] = None
    truncation: Annotated[
        float | None,
        Field(gt=0, le=100, description="The largest coordinate of a latent; fewer outliers"),
    ] = None
    format: Annotated[
        Literal["json", "npy", "png"],
        Field(description="json: nested lists. npy: NumPy's file. png: a sheet of pictures"),
    ] = "json"


def limited_request(most: int) -> type[SamplesRequest]:
    """A request for at most ``most`` samples."""
    n: Any = (Annotated[int, Field(ge=1, le=most, description="How many samples")], min(1, most))
    return create_model("SamplesRequest", __base__=SamplesRequest, n=n)


class SamplesAnswer(BaseModel):
    """The samples as JSON. The headers of the other formats have the same model and seed."""

    model: str
    version: int | None
    seed: int
    shape: list[int] = Field(description="[n, ...]")
    samples: list[Any] = Field(description="Pictures in [0, 1], or points in the data's units")


class ModelAnswer(BaseModel):
    """The generator that is served."""

    model: str
    version: int | None
    latent: int = Field(description="Size of the noise")
    shape: list[int] = Field(description="Shape of one sample: [C, H, W], or [D] of a point")
    columns: list[str] = Field(description="Names of a table's columns")
    draws_in_forward: bool = Field(description="Whether each request is drawn alone")
    since: str = Field(description="When it was loaded")
    tags: dict[str, str]


class Problem(BaseModel):
    """What is wrong with a request."""

    detail: str | list[Any]


async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """The answer to a request that breaks rules (422): place, rule and kind of each fault.

    FastAPI's own answer repeats the input, too, which may be no JSON: infinity, half a character.
    """
    told = ("loc", "msg", "type")
    detail = [{part: fault[part] for part in told} for fault in error.errors()]
    return JSONResponse({"detail": detail}, 422)
