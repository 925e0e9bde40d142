// Command grpcfacts asks a running Weir by grpc-go, with stubs of protoc-gen-go and protoc-gen-go-grpc.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	weirv1 "weirinterop/gen/weir/v1"

	. "weirinterop/facts"
)

const (
	callTimeout = 20 * time.Second
	// The shortest that grpc-go allows.
	keepaliveTime = 10 * time.Second
)

// slow answers for minutes if nobody ends it.
const slow = `{"sim":{"tps":20,"tokens":10000}}`

var (
	channel *grpc.ClientConn
	client  weirv1.ChatServiceClient
)

func main() {
	var err error
	channel, err = grpc.NewClient(
		Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: time.Second, PermitWithoutStream: true,
		}),
	)
	if err != nil {
		panic(err)
	}
	client = weirv1.NewChatServiceClient(channel)
	// It waits for pings, and the others need not.
	pinged := make(chan error, 1)
	go func() { pinged <- keepAlive() }()
	Try("a unary call answers, whatever the script", answer)
	Try("a stream begins, tells the text and finishes, in this order", stream)
	Try("an answer of megabytes arrives whole", large)
	Try("a reader that falls behind misses nothing", slowReader)
	Try("a gzipped request is read", compressed)
	Try("two hundred streams share one connection", crowd)
	Try("cancelling a stream ends it at once", cancelStream)
	Try("a deadline ends a unary call in time", deadlineOfCall)
	Try("a deadline ends a stream in the middle", deadlineOfStream)
	Try("an unknown model is NOT_FOUND, with ErrorInfo", unknownModel)
	Try("an unknown credential is UNAUTHENTICATED", unknownCredential)
	Try("BadRequest names the field at fault", badRequest)
	Try("RetryInfo says how long to wait", retryInfo)
	Try("an upstream that breaks in the middle ends the stream with a status", broken)
	Try("Embed answers one vector for each input", embed)
	Try("ListModels lists", listModels)
	Try("a channel that watches health and balances calls is served", watchHealth)
	Try("reflection v1 lists the services", reflect)
	Try("keepalive pings keep a quiet stream open", func() error { return <-pinged })
	Close()
}

func answer() error {
	found, err := create(chat("sim/echo", Text, ""))
	if err != nil {
		return err
	}
	return All(
		Same(textOf(found), Text),
		Same(found.GetChoices()[0].GetFinish().GetReason(), weirv1.FinishReason_FINISH_REASON_STOP),
	)
}

func stream() error {
	events, err := collect(chat("sim/echo", Text, ""))
	if err != nil {
		return err
	}
	last := events[len(events)-1].GetFinished()
	return All(
		Same(events[0].GetStarted() != nil, true),
		Same(joinTexts(events), Text),
		Same(last.GetFinish().GetReason(), weirv1.FinishReason_FINISH_REASON_STOP),
		Same(last.GetUsage().GetOutputTokens() > 0, true),
	)
}

func large() error {
	text := strings.Repeat("weir ", 600_000)
	found, err := create(chat("sim/echo", text, ""))
	if err != nil {
		return err
	}
	return Same(textOf(found) == text, true)
}

func slowReader() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	text := strings.Repeat("weir ", 400_000)
	ask := chat("sim/echo", text, `{"sim":{"chunk_tokens":100}}`)
	events, err := client.StreamChat(ctx, &weirv1.StreamChatRequest{Chat: ask})
	if err != nil {
		return err
	}
	var found strings.Builder
	for at := 0; ; at++ {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return Same(found.String() == text, true)
		}
		if err != nil {
			return err
		}
		found.WriteString(event.GetTextDelta().GetText())
		if at%1000 == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func compressed() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	text := strings.Repeat(Text, 500)
	request := &weirv1.CreateChatRequest{Chat: chat("sim/echo", text, "")}
	found, err := client.CreateChat(ctx, request, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	return Same(textOf(found), text)
}

func crowd() error {
	var group sync.WaitGroup
	errs := make([]error, 200)
	for at := range errs {
		group.Go(func() {
			text := fmt.Sprintf("stream %d", at)
			events, err := collect(chat("sim/echo", text, ""))
			errs[at] = All(err, Same(joinTexts(events), text))
		})
	}
	group.Wait()
	return All(errs...)
}

func cancelStream() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	ask := &weirv1.StreamChatRequest{Chat: chat("sim/text", Text, slow)}
	events, err := client.StreamChat(ctx, ask)
	if err != nil {
		return err
	}
	for texts := 0; ; {
		event, err := events.Recv()
		if err != nil {
			return All(Same(texts >= 3, true), Same(status.Code(err), codes.Canceled))
		}
		if event.GetTextDelta() != nil {
			texts++
		}
		if texts == 3 {
			cancel()
		}
	}
}

func deadlineOfCall() error {
	ctx, cancel := caller(300 * time.Millisecond)
	defer cancel()
	begun := time.Now()
	ask := chat("sim/echo", Text, `{"sim":{"ttft_ms":60000}}`)
	_, err := client.CreateChat(ctx, &weirv1.CreateChatRequest{Chat: ask})
	return All(
		Same(status.Code(err), codes.DeadlineExceeded),
		Same(time.Since(begun) < 3*time.Second, true),
	)
}

func deadlineOfStream() error {
	ctx, cancel := caller(500 * time.Millisecond)
	defer cancel()
	events, err := drain(client.StreamChat(ctx, &weirv1.StreamChatRequest{Chat: chat("sim/text", Text, slow)}))
	return All(Same(status.Code(err), codes.DeadlineExceeded), Same(len(events) > 2, true))
}

func unknownModel() error {
	_, err := create(chat("nobody/nothing", Text, ""))
	info := find[*errdetails.ErrorInfo](err)
	return All(
		Same(status.Code(err), codes.NotFound),
		Same(info.GetReason(), "MODEL_NOT_FOUND"),
		Same(info.GetDomain(), "weir"),
		Same(strings.HasPrefix(info.GetMetadata()["request_id"], "req_"), true),
	)
}

func unknownCredential() error {
	ctx := metadata.AppendToOutgoingContext(
		context.Background(), "authorization", "Bearer wk_"+strings.Repeat("z", 40))
	_, err := client.CreateChat(ctx, &weirv1.CreateChatRequest{Chat: chat("sim/echo", Text, "")})
	return All(
		Same(status.Code(err), codes.Unauthenticated),
		Same(find[*errdetails.ErrorInfo](err).GetReason(), "CREDENTIAL_UNKNOWN"),
	)
}

func badRequest() error {
	temperature := 9.0
	ask := chat("sim/echo", Text, "")
	ask.Sampling = &weirv1.Sampling{Temperature: &temperature}
	_, err := create(ask)
	violations := find[*errdetails.BadRequest](err).GetFieldViolations()
	if len(violations) == 0 {
		return fmt.Errorf("no field is named: %w", err)
	}
	return All(
		Same(status.Code(err), codes.InvalidArgument),
		Same(violations[0].GetField(), "sampling.temperature"),
	)
}

func retryInfo() error {
	_, err := create(
		chat("sim/echo", Text, `{"sim":{"fault":"status:429","retry_after_s":7}}`))
	return All(
		Same(status.Code(err), codes.ResourceExhausted),
		Same(find[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration(), 7*time.Second),
	)
}

func broken() error {
	events, err := collect(
		chat("sim/text", Text, `{"sim":{"tokens":50,"fault":"reset","fault_after":4}}`))
	return All(
		Same(status.Code(err), codes.Unavailable),
		Same(find[*errdetails.ErrorInfo](err).GetReason(), "UPSTREAM_FAILED"),
		Same(joinTexts(events) != "", true),
	)
}

func embed() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	dimensions := int32(64)
	found, err := weirv1.NewEmbedServiceClient(channel).Embed(ctx, &weirv1.EmbedRequest{
		Model:      "sim/embed",
		Dimensions: &dimensions,
		Inputs: []*weirv1.EmbedInput{
			{Input: &weirv1.EmbedInput_Text{Text: "a weir"}},
			{Input: &weirv1.EmbedInput_Text{Text: "a dam"}},
		},
	})
	if err != nil {
		return err
	}
	vectors := found.GetEmbeddings()
	return All(Same(len(vectors), 2), Same(len(vectors[1].GetValues()), 64))
}

func listModels() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	found, err := weirv1.NewModelServiceClient(channel).ListModels(ctx, &weirv1.ListModelsRequest{})
	if err != nil {
		return err
	}
	for _, model := range found.GetModels() {
		if model.GetName() == "sim/echo" {
			return nil
		}
	}
	return fmt.Errorf("sim/echo is not among %v", found.GetModels())
}

// A channel with such a configuration sends calls only where Health.Watch has said SERVING.
func watchHealth() error {
	watching, err := grpc.NewClient(
		Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{
			"loadBalancingConfig": [{"round_robin": {}}],
			"healthCheckConfig": {"serviceName": "weir.v1.ChatService"}
		}`),
	)
	if err != nil {
		return err
	}
	defer watching.Close()
	ctx, cancel := caller(callTimeout)
	defer cancel()
	health, err := healthpb.NewHealthClient(watching).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	request := &weirv1.CreateChatRequest{Chat: chat("sim/echo", Text, "")}
	found, err := weirv1.NewChatServiceClient(watching).CreateChat(ctx, request)
	return All(
		err,
		Same(health.GetStatus(), healthpb.HealthCheckResponse_SERVING),
		Same(textOf(found), Text),
	)
}

func reflect() error {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	talk, err := reflectionpb.NewServerReflectionClient(channel).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	if err := talk.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		return err
	}
	found, err := talk.Recv()
	if err != nil {
		return err
	}
	for _, service := range found.GetListServicesResponse().GetService() {
		if service.GetName() == "weir.v1.ChatService" {
			return talk.CloseSend()
		}
	}
	return fmt.Errorf("weir.v1.ChatService is not among %v", found)
}

func keepAlive() error {
	quiet := int((keepaliveTime + 2*time.Second).Milliseconds())
	options := fmt.Sprintf(`{"sim":{"ttft_ms":%d}}`, quiet)
	events, err := collect(chat("sim/echo", Text, options))
	return All(err, Same(joinTexts(events), Text))
}

func chat(model, text, providerOptions string) *weirv1.Chat {
	part := &weirv1.ContentPart{Part: &weirv1.ContentPart_Text{Text: &weirv1.Text{Text: text}}}
	message := &weirv1.Message{Role: weirv1.Role_ROLE_USER, Parts: []*weirv1.ContentPart{part}}
	return &weirv1.Chat{
		Model:           model,
		Messages:        []*weirv1.Message{message},
		ProviderOptions: providerOptions,
	}
}

// caller is a context with the credential and a deadline.
func caller(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+Key)
	return context.WithTimeout(ctx, timeout)
}

func create(chat *weirv1.Chat) (*weirv1.CreateChatResponse, error) {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	return client.CreateChat(ctx, &weirv1.CreateChatRequest{Chat: chat})
}

func collect(chat *weirv1.Chat) ([]*weirv1.StreamChatResponse, error) {
	ctx, cancel := caller(callTimeout)
	defer cancel()
	return drain(client.StreamChat(ctx, &weirv1.StreamChatRequest{Chat: chat}))
}

// drain reads a stream to its end: what has come, and the error that ended it.
func drain(
	stream grpc.ServerStreamingClient[weirv1.StreamChatResponse], err error,
) ([]*weirv1.StreamChatResponse, error) {
	if err != nil {
		return nil, err
	}
	var events []*weirv1.StreamChatResponse
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

func textOf(answer *weirv1.CreateChatResponse) string {
	return answer.GetChoices()[0].GetMessage().GetParts()[0].GetText().GetText()
}

func joinTexts(events []*weirv1.StreamChatResponse) string {
	var text strings.Builder
	for _, event := range events {
		text.WriteString(event.GetTextDelta().GetText())
	}
	return text.String()
}

// find is the detail of type T that an error carries.
func find[T any](err error) T {
	for _, detail := range status.Convert(err).Details() {
		if found, ok := detail.(T); ok {
			return found
		}
	}
	var none T
	return none
}
