"""The clients of OpenAI and of Anthropic for Python, against a running Weir."""

import json

import anthropic
import openai
from facts import ADDRESS, KEY, TEXT, fact, holds, prove, same
from pydantic import BaseModel

SECONDS = 20
BASE = f"http://{ADDRESS}"
ASK = [{"role": "user", "content": TEXT}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0, timeout=SECONDS)
claude = anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=0, timeout=SECONDS)


class Place(BaseModel):
    """What a typed answer shall be."""

    city: str


def get_error(kind, call):
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"answered instead of failing: {answer!r}")


@fact("openai: a chat answers, with usage and the request's id")
def _():
    answer = client.chat.completions.create(model="sim/echo", messages=ASK)
    same(answer.choices[0].message.content, TEXT)
    same(answer.choices[0].finish_reason, "stop")
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
    holds(answer._request_id.startswith("req_"), "the answer has no x-request-id")


@fact("openai: a stream tells the text, and its usage last")
def _():
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="sim/echo", messages=ASK, stream=True, stream_options=options
        )
    )
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    same("".join(texts), TEXT)
    holds(chunks[-1].usage.completion_tokens > 0, "the last chunk has no usage")
    same(chunks[-1].choices, [])


@fact("openai: the stream helper gathers a tool call")
def _():
    function = {"name": "weather", "parameters": SCHEMA, "strict": True}
    tools = [{"type": "function", "function": function}]
    with client.chat.completions.stream(model="sim/tools", messages=ASK, tools=tools) as stream:
        for _event in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    same(choice.finish_reason, "tool_calls")
    same(choice.message.tool_calls[0].function.name, "weather")
    holds("city" in json.loads(choice.message.tool_calls[0].function.arguments), "no argument")


@fact("openai: a typed answer parses")
def _():
    answer = client.chat.completions.parse(
        model="sim/text", messages=ASK, response_format=Place
    )
    holds(isinstance(answer.choices[0].message.parsed, Place), answer.choices[0].message.content)


@fact("openai: embeddings are the same in base64, the client's default, and as floats")
def _():
    given = ["a weir", "a dam"]
    packed = client.embeddings.create(model="sim/embed", input=given)
    floats = client.embeddings.create(model="sim/embed", input=given, encoding_format="float")
    same(len(packed.data), 2)
    for one, other in zip(packed.data, floats.data, strict=True):
        same(len(one.embedding), len(other.embedding))
        difference = max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True))
        holds(difference < 1e-6, f"they differ by {difference}")


@fact("openai: models are listed and found")
def _():
    names = [model.id for model in client.models.list()]
    holds("sim/echo" in names, names)
    same(client.models.retrieve("sim/echo").id, "sim/echo")


@fact("openai: errors are of the client's own kinds")
def _():
    def ask(model="sim/echo", messages=ASK, **extra):
        return client.chat.completions.create(model=model, messages=messages, extra_body=extra)

    error = get_error(openai.NotFoundError, lambda: ask(model="nobody/nothing"))
    same((error.code, error.param), ("model_not_found", "model"))
    holds(error.request_id.startswith("req_"), "the error has no x-request-id")
    get_error(openai.BadRequestError, lambda: ask(messages=[]))
    get_error(openai.RateLimitError, lambda: ask(sim={"fault": "status:429"}))
    get_error(openai.InternalServerError, lambda: ask(sim={"fault": "status:500"}))
    stranger = client.with_options(api_key="wk_" + "z" * 40)
    get_error(openai.AuthenticationError, lambda: stranger.models.list())


@fact("openai: a stream that breaks raises, and does not end as if it were whole")
def _():
    sim = {"tokens": 50, "fault": "reset", "fault_after": 4}
    texts = []

    def read():
        for chunk in client.chat.completions.create(
            model="sim/text", messages=ASK, stream=True, extra_body={"sim": sim}
        ):
            texts.extend(choice.delta.content or "" for choice in chunk.choices)

    get_error(openai.APIError, read)
    holds("".join(texts) != "", "the text before the fault was lost")


@fact("openai: a stream that is left does not harm the next call")
def _():
    stream = client.chat.completions.create(
        model="sim/text",
        messages=ASK,
        stream=True,
        extra_body={"sim": {"tps": 20, "tokens": 10_000}},
    )
    next(iter(stream))
    stream.close()
    answer = client.chat.completions.create(model="sim/echo", messages=ASK)
    same(answer.choices[0].message.content, TEXT)


@fact("anthropic: a message answers, with usage")
def _():
    answer = claude.messages.create(model="sim/echo", max_tokens=64, messages=ASK)
    same(answer.content[0].text, TEXT)
    same(answer.stop_reason, "end_turn")
    holds(answer.usage.output_tokens > 0, "no output tokens are counted")
    holds(answer._request_id.startswith("req_"), "the answer has no request-id")


@fact("anthropic: the stream helper gathers the message")
def _():
    with claude.messages.stream(model="sim/echo", max_tokens=64, messages=ASK) as stream:
        texts = list(stream.text_stream)
        answer = stream.get_final_message()
    same("".join(texts), TEXT)
    same(answer.stop_reason, "end_turn")
    holds(answer.usage.output_tokens > 0, "no output tokens are counted")


@fact("anthropic: a tool is used, and its result is taken back")
def _():
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    answer = claude.messages.create(
        model="sim/tools", max_tokens=64, messages=ASK, tools=tools
    )
    same(answer.stop_reason, "tool_use")
    use = next(block for block in answer.content if block.type == "tool_use")
    same(use.name, "weather")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    turns = [
        *ASK,
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    again = claude.messages.create(model="sim/tools", max_tokens=64, messages=turns, tools=tools)
    same(again.stop_reason, "end_turn")


@fact("anthropic: tokens are counted")
def _():
    counted = claude.messages.count_tokens(model="sim/echo", messages=ASK)
    holds(counted.input_tokens > 0, counted)


@fact("anthropic: errors are of the client's own kinds")
def _():
    def ask(model="sim/echo", **extra):
        return claude.messages.create(
            model=model, max_tokens=64, messages=ASK, extra_body=extra
        )

    error = get_error(anthropic.NotFoundError, lambda: ask(model="nobody/nothing"))
    same(error.body["error"]["type"], "not_found_error")
    get_error(anthropic.RateLimitError, lambda: ask(sim={"fault": "status:429"}))
    get_error(anthropic.InternalServerError, lambda: ask(sim={"fault": "status:500"}))
    stranger = claude.with_options(api_key="wk_" + "z" * 40)
    get_error(
        anthropic.AuthenticationError,
        lambda: stranger.messages.create(model="sim/echo", max_tokens=64, messages=ASK),
    )


prove()
