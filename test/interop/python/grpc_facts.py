"""grpcio, with stubs of grpc_tools, against a running Weir."""

import asyncio
import concurrent.futures
import struct
import time

import grpc
from chats import (
    CALL_SECONDS,
    CREDENTIAL,
    channel,
    get_error,
    make_chat,
    read_details,
    read_record,
    service,
)
from facts import ADDRESS, TEXT, fact, holds, prove, same
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from weir.v1 import (
    chat_pb2,
    chat_service_pb2,
    chat_service_pb2_grpc,
    embed_pb2,
    embed_service_pb2,
    embed_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)


def create(chat, metadata=CREDENTIAL, timeout=CALL_SECONDS, **options):
    request = chat_service_pb2.CreateChatRequest(chat=chat)
    return service.CreateChat(request, metadata=metadata, timeout=timeout, **options)


def stream(chat, timeout=CALL_SECONDS):
    request = chat_service_pb2.StreamChatRequest(chat=chat)
    return service.StreamChat(request, metadata=CREDENTIAL, timeout=timeout)


@fact("a unary call answers, whatever the script")
def _():
    answer = create(make_chat())
    same(answer.choices[0].message.parts[0].text.text, TEXT)
    same(answer.choices[0].finish.reason, chat_pb2.FINISH_REASON_STOP)
    holds(answer.usage.output_tokens > 0, "no output tokens are counted")


@fact("the answer's metadata name its request, as the message does")
def _():
    request = chat_service_pb2.CreateChatRequest(chat=make_chat())
    answer, call = service.CreateChat.with_call(request, metadata=CREDENTIAL)
    metadata = dict(call.initial_metadata())
    same(metadata["x-request-id"], answer.decision.request_id)
    same(metadata["x-weir-target"], "sim/echo")


@fact("a stream begins, tells the text and finishes, in this order")
def _():
    events = list(stream(make_chat(text=TEXT * 20)))
    kinds = [event.WhichOneof("event") for event in events]
    same(kinds[0], "started")
    same(kinds[-1], "finished")
    same("".join(event.text_delta.text for event in events), TEXT * 20)
    same(events[-1].finished.finish.reason, chat_pb2.FINISH_REASON_STOP)
    holds(events[-1].finished.usage.output_tokens > 0, "no output tokens are counted")


@fact("a tool is called with the arguments that its schema wants")
def _():
    schema = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
    function = chat_pb2.FunctionTool(name="weather", parameters_schema=schema)
    answer = create(make_chat(model="sim/tools", tools=[chat_pb2.Tool(function=function)]))
    parts = answer.choices[0].message.parts
    calls = [part.tool_call for part in parts if part.HasField("tool_call")]
    same([call.name for call in calls], ["weather"])
    holds('"city"' in calls[0].arguments, calls[0].arguments)


@fact("an answer of megabytes arrives whole")
def _():
    text = "weir " * 600_000
    same(create(make_chat(text=text)).choices[0].message.parts[0].text.text, text)


@fact("a gzipped request is read")
def _():
    answer = create(make_chat(text=TEXT * 500), compression=grpc.Compression.Gzip)
    same(answer.choices[0].message.parts[0].text.text, TEXT * 500)


@fact("a hundred calls share one connection")
def _():
    def ask(number):
        return create(make_chat(text=f"call {number}")).choices[0].message.parts[0].text.text

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        same(list(pool.map(ask, range(100))), [f"call {number}" for number in range(100)])


@fact("cancelling a stream ends it at once, and the ledger says that the caller left")
def _():
    call = stream(make_chat(model="sim/text", sim={"tps": 20, "tokens": 10_000}))
    request_id = ""
    texts = 0
    try:
        for event in call:
            request_id = request_id or event.started.decision.request_id
            texts += event.HasField("text_delta")
            if texts == 3:
                call.cancel()
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.CANCELLED)
    record = read_record(request_id)
    same(record.error_reason, "CALLER_GONE")
    holds(3 <= record.usage.output_tokens < 1000, f"{record.usage.output_tokens} tokens are billed")


@fact("a deadline ends a unary call in time")
def _():
    begun = time.monotonic()
    error = get_error(lambda: create(make_chat(sim={"ttft_ms": 60_000}), timeout=0.3))
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    holds(time.monotonic() - begun < 3, "it took longer than three seconds")


@fact("a deadline ends a stream in the middle")
def _():
    slow = make_chat(model="sim/text", sim={"tps": 20, "tokens": 10_000})
    error = get_error(lambda: list(stream(slow, timeout=0.5)))
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


@fact("an unknown model is NOT_FOUND, with ErrorInfo")
def _():
    error = get_error(lambda: create(make_chat(model="nobody/nothing")))
    same(error.code(), grpc.StatusCode.NOT_FOUND)
    info = read_details(error)["ErrorInfo"]
    same((info.reason, info.domain), ("MODEL_NOT_FOUND", "weir"))
    holds(info.metadata["request_id"].startswith("req_"), "the error names no request")
    same(dict(error.trailing_metadata())["x-request-id"], info.metadata["request_id"])


@fact("a missing and an unknown credential are told apart")
def _():
    for metadata, reason in (
        ((), "CREDENTIAL_MISSING"),
        ((("authorization", "Bearer wk_" + "z" * 40),), "CREDENTIAL_UNKNOWN"),
    ):
        error = get_error(lambda: create(make_chat(), metadata=metadata))
        same(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        same(read_details(error)["ErrorInfo"].reason, reason)


@fact("BadRequest names the field at fault")
def _():
    sampling = chat_pb2.Sampling(temperature=9)
    error = get_error(lambda: create(make_chat(sampling=sampling)))
    same(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    details = read_details(error)
    same(details["ErrorInfo"].reason, "INVALID_REQUEST")
    same(details["BadRequest"].field_violations[0].field, "sampling.temperature")


@fact("RetryInfo says how long to wait")
def _():
    error = get_error(lambda: create(make_chat(sim={"fault": "status:429", "retry_after_s": 7})))
    same(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    same(read_details(error)["RetryInfo"].retry_delay.seconds, 7)


@fact("an upstream that breaks in the middle ends the stream with a status")
def _():
    texts = []
    broken = make_chat(model="sim/text", sim={"tokens": 50, "fault": "reset", "fault_after": 4})

    def read():
        for event in stream(broken):
            texts.append(event.text_delta.text)

    error = get_error(read)
    same(error.code(), grpc.StatusCode.UNAVAILABLE)
    same(read_details(error)["ErrorInfo"].reason, "UPSTREAM_FAILED")
    holds("".join(texts) != "", "the text before the fault was lost")


@fact("an error's text arrives in any script")
def _():
    error = get_error(lambda: create(make_chat(model="日本/🌊 100%")))
    holds("日本/🌊 100%" in error.details(), error.details())


@fact("Embed answers floats and the same as bytes")
def _():
    embed = embed_service_pb2_grpc.EmbedServiceStub(channel).Embed
    inputs = [embed_pb2.EmbedInput(text="a weir"), embed_pb2.EmbedInput(text="a dam")]

    def ask(encoding):
        request = embed_service_pb2.EmbedRequest(
            model="sim/embed", inputs=inputs, dimensions=64, encoding=encoding
        )
        return embed(request, metadata=CREDENTIAL, timeout=CALL_SECONDS)

    floats = ask(embed_pb2.VECTOR_ENCODING_FLOATS)
    packed = ask(embed_pb2.VECTOR_ENCODING_LITTLE_ENDIAN)
    same([embedding.index for embedding in floats.embeddings], [0, 1])
    for wanted, found in zip(floats.embeddings, packed.embeddings, strict=True):
        same(len(wanted.values), 64)
        same(struct.unpack("<64f", found.little_endian), tuple(wanted.values))


@fact("ListModels gives pages, GetModel one of them")
def _():
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    names, token = [], ""
    while True:
        request = model_service_pb2.ListModelsRequest(page_size=1, page_token=token)
        page = models.ListModels(request, metadata=CREDENTIAL, timeout=CALL_SECONDS)
        names += [model.name for model in page.models]
        token = page.next_page_token
        if token == "":
            break
    holds({"sim/echo", "sim/text", "sim/tools", "sim/embed"} <= set(names), names)
    same(sorted(set(names)), names)
    request = model_service_pb2.GetModelRequest(model="sim/embed")
    answer = models.GetModel(request, metadata=CREDENTIAL, timeout=CALL_SECONDS)
    holds("embed" in answer.model.capabilities, answer.model.capabilities)


@fact("grpc.health.v1 says SERVING")
def _():
    health = health_pb2_grpc.HealthStub(channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service="weir.v1.ChatService"))
    same(answer.status, health_pb2.HealthCheckResponse.SERVING)


@fact("reflection describes the services")
def _():
    database = ProtoReflectionDescriptorDatabase(channel)
    holds("weir.v1.ChatService" in database.get_services(), database.get_services())
    file = database.FindFileContainingSymbol("weir.v1.ChatService")
    same(file.name, "weir/v1/chat_service.proto")


@fact("grpc.aio streams, and cancels a task in the middle")
def _():
    async def read():
        async with grpc.aio.insecure_channel(ADDRESS) as channel:
            service = chat_service_pb2_grpc.ChatServiceStub(channel)

            async def collect(chat):
                request = chat_service_pb2.StreamChatRequest(chat=chat)
                call = service.StreamChat(request, metadata=CREDENTIAL, timeout=CALL_SECONDS)
                return "".join([event.text_delta.text async for event in call])

            same(await collect(make_chat()), TEXT)
            slow = make_chat(model="sim/text", sim={"tps": 20, "tokens": 10_000})
            task = asyncio.create_task(collect(slow))
            await asyncio.sleep(0.3)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return
            raise AssertionError("the task was not cancelled")

    asyncio.run(read())


prove()
