"""The stubs' side of this folder: requests, and what errors tell."""

import json

import grpc
from facts import ADDRESS, ADMIN_KEY, KEY, TEXT, eventually
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from weir.admin.v1 import usage_service_pb2, usage_service_pb2_grpc
from weir.v1 import chat_pb2, chat_service_pb2_grpc

CREDENTIAL = (("authorization", f"Bearer {KEY}"),)
CALL_SECONDS = 20

channel = grpc.insecure_channel(ADDRESS)
service = chat_service_pb2_grpc.ChatServiceStub(channel)


def make_chat(model="sim/echo", text=TEXT, sim=None, **fields):
    """A chat of one user message; `sim` are the parameters of the simulated engine."""
    part = chat_pb2.ContentPart(text=chat_pb2.Text(text=text))
    return chat_pb2.Chat(
        model=model,
        messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[part])],
        provider_options="" if sim is None else json.dumps({"sim": sim}),
        **fields,
    )


def get_error(call):
    """The error that `call()` ends with."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"answered instead of failing: {answer!r}")


def read_details(error):
    """The google.rpc messages of an error, by the name of their type."""
    status = rpc_status.from_call(error)
    if status is None:
        raise AssertionError("the error has no google.rpc.Status")
    details = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        details[name] = getattr(error_details_pb2, name)()
        packed.Unpack(details[name])
    return details


def read_record(request_id):
    """What the ledger keeps of a request, once it is there."""
    usage = usage_service_pb2_grpc.UsageServiceStub(channel)
    request = usage_service_pb2.GetRequestRequest(request_id=request_id)

    def ask():
        try:
            return usage.GetRequest(
                request,
                metadata=(("authorization", f"Bearer {ADMIN_KEY}"),),
                timeout=CALL_SECONDS,
            ).record
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return None

    return eventually(ask)
