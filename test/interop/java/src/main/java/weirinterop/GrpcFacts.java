package weirinterop;

import static weirinterop.Facts.attempt;
import static weirinterop.Facts.holds;
import static weirinterop.Facts.same;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import weir.v1.Chat;
import weir.v1.ChatServiceGrpc;
import weir.v1.ContentPart;
import weir.v1.CreateChatRequest;
import weir.v1.CreateChatResponse;
import weir.v1.EmbedInput;
import weir.v1.EmbedRequest;
import weir.v1.EmbedResponse;
import weir.v1.EmbedServiceGrpc;
import weir.v1.FinishReason;
import weir.v1.ListModelsRequest;
import weir.v1.ModelServiceGrpc;
import weir.v1.Role;
import weir.v1.Sampling;
import weir.v1.StreamChatRequest;
import weir.v1.StreamChatResponse;
import weir.v1.Text;

/** Asks a running Weir by grpc-java, with stubs of protoc. */
public final class GrpcFacts {
  private static final String TEXT = "naïve façade, 日本語, 🌊";
  private static final String SLOW = "{\"sim\":{\"tps\":20,\"tokens\":10000}}";
  private static final int CALL_SECONDS = 20;

  private static final ManagedChannel channel =
      ManagedChannelBuilder.forTarget(System.getenv("WEIR_ADDRESS"))
          .usePlaintext()
          .keepAliveTime(10, TimeUnit.SECONDS)
          .build();

  private GrpcFacts() {}

  /** Tries all facts. */
  public static void main(String[] args) throws InterruptedException {
    attempt("a unary call answers, whatever the script", GrpcFacts::answer);
    attempt("a stream begins, tells the text and finishes, in this order", GrpcFacts::stream);
    attempt("an answer of megabytes arrives whole", GrpcFacts::large);
    attempt("a gzipped request is read", GrpcFacts::compressed);
    attempt("a hundred calls share one connection", GrpcFacts::crowd);
    attempt("cancelling a stream ends it at once", GrpcFacts::cancel);
    attempt("a deadline ends a unary call in time", GrpcFacts::deadline);
    attempt("an unknown model is NOT_FOUND, with ErrorInfo", GrpcFacts::unknownModel);
    attempt("an unknown credential is UNAUTHENTICATED", GrpcFacts::unknownCredential);
    attempt("BadRequest names the field at fault", GrpcFacts::badRequest);
    attempt("RetryInfo says how long to wait", GrpcFacts::retryInfo);
    attempt("an upstream that breaks in the middle ends the stream", GrpcFacts::broken);
    attempt("Embed answers one vector for each input", GrpcFacts::embed);
    attempt("ListModels lists", GrpcFacts::listModels);
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    Facts.close();
  }

  private static void answer() {
    CreateChatResponse answer = create(chat("sim/echo", TEXT, ""));
    same(textOf(answer), TEXT);
    same(answer.getChoices(0).getFinish().getReason(), FinishReason.FINISH_REASON_STOP);
  }

  private static void stream() {
    List<StreamChatResponse> events = collect(chat("sim/echo", TEXT, ""));
    holds(events.get(0).hasStarted(), "the first event is not `started`");
    same(joinTexts(events), TEXT);
    StreamChatResponse last = events.get(events.size() - 1);
    holds(last.hasFinished(), "the last event is not `finished`");
    holds(last.getFinished().getUsage().getOutputTokens() > 0, "no output tokens are counted");
  }

  private static void large() {
    String text = "weir ".repeat(600_000);
    holds(textOf(create(chat("sim/echo", text, ""))).equals(text), "the text is another");
  }

  private static void compressed() {
    String text = TEXT.repeat(500);
    CreateChatRequest request =
        CreateChatRequest.newBuilder().setChat(chat("sim/echo", text, "")).build();
    same(textOf(caller(CALL_SECONDS * 1000).withCompression("gzip").createChat(request)), text);
  }

  private static void crowd() {
    List<String> texts =
        IntStream.range(0, 100).mapToObj(at -> "call " + at).collect(Collectors.toList());
    List<String> found =
        texts.parallelStream()
            .map(text -> textOf(create(chat("sim/echo", text, ""))))
            .collect(Collectors.toList());
    same(found, texts);
  }

  private static void cancel() {
    Context.CancellableContext context = Context.current().withCancellation();
    StatusRuntimeException error =
        errorOf(
            () ->
                context.call(
                    () -> {
                      int texts = 0;
                      Iterator<StreamChatResponse> events = open(chat("sim/text", TEXT, SLOW));
                      while (events.hasNext()) {
                        texts += events.next().hasTextDelta() ? 1 : 0;
                        if (texts == 3) {
                          context.cancel(null);
                        }
                      }
                      return texts;
                    }));
    same(error.getStatus().getCode(), Code.CANCELLED);
  }

  private static void deadline() {
    long begun = System.nanoTime();
    CreateChatRequest request =
        CreateChatRequest.newBuilder()
            .setChat(chat("sim/echo", TEXT, "{\"sim\":{\"ttft_ms\":60000}}"))
            .build();
    StatusRuntimeException error = errorOf(() -> caller(300).createChat(request));
    same(error.getStatus().getCode(), Code.DEADLINE_EXCEEDED);
    long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - begun);
    holds(seconds < 3, "it took " + seconds + " s");
  }

  private static void unknownModel() throws Exception {
    StatusRuntimeException error = errorOf(() -> create(chat("nobody/nothing", TEXT, "")));
    same(error.getStatus().getCode(), Code.NOT_FOUND);
    ErrorInfo info = find(error, ErrorInfo.class);
    same(info.getReason(), "MODEL_NOT_FOUND");
    same(info.getDomain(), "weir");
    holds(info.containsMetadata("request_id"), "the error names no request");
  }

  private static void unknownCredential() throws Exception {
    ChatServiceGrpc.ChatServiceBlockingStub stranger =
        ChatServiceGrpc.newBlockingStub(channel)
            .withInterceptors(
                MetadataUtils.newAttachHeadersInterceptor(credential("wk_" + "z".repeat(40))));
    StatusRuntimeException error =
        errorOf(() -> stranger.createChat(CreateChatRequest.getDefaultInstance()));
    same(error.getStatus().getCode(), Code.UNAUTHENTICATED);
    same(find(error, ErrorInfo.class).getReason(), "CREDENTIAL_UNKNOWN");
  }

  private static void badRequest() throws Exception {
    Chat hot =
        chat("sim/echo", TEXT, "").toBuilder()
            .setSampling(Sampling.newBuilder().setTemperature(9))
            .build();
    StatusRuntimeException error = errorOf(() -> create(hot));
    same(error.getStatus().getCode(), Code.INVALID_ARGUMENT);
    BadRequest details = find(error, BadRequest.class);
    same(details.getFieldViolations(0).getField(), "sampling.temperature");
  }

  private static void retryInfo() throws Exception {
    String fault = "{\"sim\":{\"fault\":\"status:429\",\"retry_after_s\":7}}";
    StatusRuntimeException error = errorOf(() -> create(chat("sim/echo", TEXT, fault)));
    same(error.getStatus().getCode(), Code.RESOURCE_EXHAUSTED);
    same(find(error, RetryInfo.class).getRetryDelay().getSeconds(), 7L);
  }

  private static void broken() throws Exception {
    String fault = "{\"sim\":{\"tokens\":50,\"fault\":\"reset\",\"fault_after\":4}}";
    List<StreamChatResponse> events = new ArrayList<>();
    StatusRuntimeException error =
        errorOf(
            () -> {
              open(chat("sim/text", TEXT, fault)).forEachRemaining(events::add);
              return events;
            });
    same(error.getStatus().getCode(), Code.UNAVAILABLE);
    same(find(error, ErrorInfo.class).getReason(), "UPSTREAM_FAILED");
    holds(!joinTexts(events).isEmpty(), "the text before the fault was lost");
  }

  private static void embed() {
    EmbedRequest request =
        EmbedRequest.newBuilder()
            .setModel("sim/embed")
            .setDimensions(64)
            .addInputs(EmbedInput.newBuilder().setText("a weir"))
            .addInputs(EmbedInput.newBuilder().setText("a dam"))
            .build();
    EmbedResponse answer =
        EmbedServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(credential()))
            .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
            .embed(request);
    same(answer.getEmbeddingsCount(), 2);
    same(answer.getEmbeddings(1).getValuesCount(), 64);
  }

  private static void listModels() {
    List<String> names =
        ModelServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(credential()))
            .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
            .listModels(ListModelsRequest.getDefaultInstance())
            .getModelsList()
            .stream()
            .map(model -> model.getName())
            .collect(Collectors.toList());
    holds(names.contains("sim/echo"), names.toString());
  }

  private static Chat chat(String model, String text, String providerOptions) {
    ContentPart part =
        ContentPart.newBuilder().setText(Text.newBuilder().setText(text)).build();
    weir.v1.Message message =
        weir.v1.Message.newBuilder().setRole(Role.ROLE_USER).addParts(part).build();
    return Chat.newBuilder()
        .setModel(model)
        .addMessages(message)
        .setProviderOptions(providerOptions)
        .build();
  }

  private static CreateChatResponse create(Chat chat) {
    return caller(CALL_SECONDS * 1000)
        .createChat(CreateChatRequest.newBuilder().setChat(chat).build());
  }

  private static Iterator<StreamChatResponse> open(Chat chat) {
    return caller(CALL_SECONDS * 1000)
        .streamChat(StreamChatRequest.newBuilder().setChat(chat).build());
  }

  private static List<StreamChatResponse> collect(Chat chat) {
    List<StreamChatResponse> events = new ArrayList<>();
    open(chat).forEachRemaining(events::add);
    return events;
  }

  /** A stub with the credential and a deadline. */
  private static ChatServiceGrpc.ChatServiceBlockingStub caller(int timeoutMillis) {
    return ChatServiceGrpc.newBlockingStub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(credential()))
        .withDeadlineAfter(timeoutMillis, TimeUnit.MILLISECONDS);
  }

  private static Metadata credential() {
    return credential(System.getenv("WEIR_KEY"));
  }

  private static Metadata credential(String key) {
    Metadata metadata = new Metadata();
    metadata.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    return metadata;
  }

  private static StatusRuntimeException errorOf(Callable<?> call) {
    try {
      throw new AssertionError("answered instead of failing: " + call.call());
    } catch (StatusRuntimeException error) {
      return error;
    } catch (Exception other) {
      throw new AssertionError(other);
    }
  }

  /** The detail of a type that an error carries. */
  private static <T extends Message> T find(StatusRuntimeException error, Class<T> type)
      throws Exception {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    holds(status != null, "the error has no google.rpc.Status");
    for (Any detail : status.getDetailsList()) {
      if (detail.is(type)) {
        return detail.unpack(type);
      }
    }
    throw new AssertionError("there is no " + type.getSimpleName());
  }

  private static String textOf(CreateChatResponse answer) {
    return answer.getChoices(0).getMessage().getParts(0).getText().getText();
  }

  private static String joinTexts(List<StreamChatResponse> events) {
    return events.stream()
        .map(event -> event.getTextDelta().getText())
        .collect(Collectors.joining());
  }
}
