"""What requests may say, field by field. What is not here is refused, and what could not be honored is too.

`user`, `store`, `metadata`, `safety_identifier` and `prompt_cache_key` are taken and change nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_SAMPLES, MOST_STOPS, MOST_BIASED, MOST_TOP, MOST_TOOLS = 128, 16, 1024, 20, 128
SEED = 1 << 63

Schema = dict[str, Any]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Stop = str | Annotated[list[str], Field(max_length=MOST_STOPS)]


def _whole(value: Any) -> Any:
    """A truth value is no number."""
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return value


Int = Annotated[int, BeforeValidator(_whole)]
Float = Annotated[float, BeforeValidator(_whole)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Sampled(Body):
    """What all that draw tokens may be asked."""

    model: str
    temperature: Annotated[Float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Int, Field(ge=0, le=1 << 31)] | None = None
    min_p: Annotated[Float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Float, Field(gt=0, le=100)] | None = None
    presence_penalty: Annotated[Float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[Int, Field(ge=-SEED, lt=SEED)] | None = None
    stop: Stop | None = None
    logit_bias: Annotated[dict[str, Annotated[Float, Field(ge=-100, le=100)]], Field(max_length=MOST_BIASED)] | None = (
        None
    )
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class CompletionBody(Sampled):
    prompt: str | Annotated[list[str], Field(min_length=1)] | TokenIds | Annotated[list[TokenIds], Field(min_length=1)]
    suffix: str | None = None
    max_tokens: Annotated[Int, Field(ge=0, le=1 << 31)] | None = 16
    n: Annotated[Int, Field(ge=1, le=MOST_SAMPLES)] | None = 1
    best_of: Annotated[Int, Field(ge=1, le=MOST_SAMPLES)] | None = None
    echo: bool | None = False
    logprobs: Annotated[Int, Field(ge=0, le=MOST_TOP)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None


class TextPart(Body):
    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class OtherPart(BaseModel):
    """Images, sound and files, which are refused in a line of their own."""

    model_config = ConfigDict(extra="allow")
    type: str


Parts = list[TextPart | OtherPart]


class CalledFunction(Body):
    name: str
    arguments: str


class ToolCall(Body):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Body):
    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: str | Parts | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None


class Function(Body):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(Body):
    type: Literal["function"]
    function: Function


class FunctionName(Body):
    name: str


class NamedTool(Body):
    type: Literal["function"]
    function: FunctionName


class JsonSchema(Body):
    name: str | None = None
    description: str | None = None
    schema_: Schema | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatBody(Sampled):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[Int, Field(ge=1, le=1 << 31)] | None = None
    max_completion_tokens: Annotated[Int, Field(ge=1, le=1 << 31)] | None = None
    n: Annotated[Int, Field(ge=1, le=MOST_SAMPLES)] | None = 1
    logprobs: bool | None = False
    top_logprobs: Annotated[Int, Field(ge=0, le=MOST_TOP)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = True
    chat_template_kwargs: dict[str, Any] | None = None
    modalities: list[Literal["text"]] | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class EmbeddingBody(Body):
    model: str
    input: str | Annotated[list[str], Field(min_length=1)] | TokenIds | Annotated[list[TokenIds], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[Int, Field(ge=1)] | None = None
    user: str | None = None


class InputMessage(Body):
    type: Literal["message"] = "message"
    role: Literal["developer", "system", "user", "assistant"]
    content: str | Parts
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class InputCall(Body):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class InputResult(Body):
    type: Literal["function_call_output"]
    call_id: str
    output: str | Parts
    id: str | None = None
    status: str | None = None


class TextFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: Schema | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextSettings(Body):
    format: TextFormat | None = None
    verbosity: None = None


class FlatTool(Function):
    type: Literal["function"]


class FlatNamedTool(Body):
    type: Literal["function"]
    name: str


class ResponseBody(Body):
    model: str
    input: str | Annotated[list[InputCall | InputResult | InputMessage], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[Int, Field(ge=1, le=1 << 31)] | None = None
    temperature: Annotated[Float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[Int, Field(ge=0, le=MOST_TOP)] | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    seed: Annotated[Int, Field(ge=-SEED, lt=SEED)] | None = None
    stream: bool | None = False
    text: TextSettings | None = None
    tools: Annotated[list[FlatTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FlatNamedTool | None = None
    parallel_tool_calls: bool | None = True
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class ReasonBody(Body):
    """A problem for the models of a run: as `clearhead solve` takes it."""

    model: str
    problem: Annotated[str, Field(min_length=1, max_length=1 << 16)]
    task: str | None = None
    strategy: str | None = None
    budget: Annotated[Int, Field(ge=1, le=1 << 20)] | None = 1000
    seed: Annotated[Int, Field(ge=0, lt=SEED)] | None = 0
    search: dict[str, str | int | float | bool] | None = None
    stream: bool | None = False
