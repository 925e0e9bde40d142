// Command connectfacts asks a running Weir by connect-go, in each of the protocols that it speaks.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	adminv1 "weirinterop/connectgen/weir/admin/v1"
	"weirinterop/connectgen/weir/admin/v1/adminv1connect"
	weirv1 "weirinterop/connectgen/weir/v1"
	"weirinterop/connectgen/weir/v1/weirv1connect"

	. "weirinterop/facts"
)

const callTimeout = 20 * time.Second

// protocol is one way to speak with Weir.
type protocol struct {
	name    string
	http2   bool
	options []connect.ClientOption
}

func main() {
	for _, each := range []protocol{
		{name: "Connect"},
		{name: "Connect in JSON", options: []connect.ClientOption{connect.WithProtoJSON()}},
		{name: "Connect, gzipped", options: []connect.ClientOption{connect.WithSendGzip()}},
		{name: "Connect over HTTP/2", http2: true},
		{name: "gRPC-Web", options: []connect.ClientOption{connect.WithGRPCWeb()}},
		{name: "gRPC", http2: true, options: []connect.ClientOption{connect.WithGRPC()}},
	} {
		web := &http.Client{Transport: transport(each.http2)}
		chats := weirv1connect.NewChatServiceClient(web, "http://"+Address, each.options...)
		Try(each.name+": a unary call answers", func() error { return answer(chats) })
		Try(each.name+": a stream tells the text and finishes", func() error { return stream(chats) })
		Try(each.name+": leaving a stream ends it at once", func() error { return leave(chats) })
		Try(each.name+": a deadline is kept", func() error { return deadline(chats) })
		Try(each.name+": errors carry ErrorInfo", func() error { return refusal(chats) })
		Try(each.name+": a broken stream ends with a status", func() error { return broken(chats) })
	}
	Try("Connect by GET: models are listed", listModels)
	Try("Connect: the administrative services are there", listTeams)
	Close()
}

func answer(client weirv1connect.ChatServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	found, err := client.CreateChat(ctx, ask(&weirv1.CreateChatRequest{Chat: chat("sim/echo", "")}))
	if err != nil {
		return err
	}
	text := found.Msg.GetChoices()[0].GetMessage().GetParts()[0].GetText().GetText()
	return All(
		Same(text, Text),
		Same(found.Header().Get("x-request-id"), found.Msg.GetDecision().GetRequestId()),
	)
}

func stream(client weirv1connect.ChatServiceClient) error {
	text, last, err := read(client, chat("sim/echo", ""), callTimeout)
	return All(err, Same(text, Text), Same(last.GetFinished() != nil, true))
}

func leave(client weirv1connect.ChatServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	slow := chat("sim/text", `{"sim":{"tps":20,"tokens":10000}}`)
	events, err := client.StreamChat(ctx, ask(&weirv1.StreamChatRequest{Chat: slow}))
	if err != nil {
		return err
	}
	for texts := 0; texts < 3 && events.Receive(); {
		if events.Msg().GetTextDelta() != nil {
			texts++
		}
	}
	if err := events.Err(); err != nil {
		return err
	}
	cancel()
	for events.Receive() {
	}
	return Same(connect.CodeOf(events.Err()), connect.CodeCanceled)
}

func deadline(client weirv1connect.ChatServiceClient) error {
	begun := time.Now()
	_, _, err := read(client, chat("sim/echo", `{"sim":{"ttft_ms":60000}}`), 300*time.Millisecond)
	return All(
		Same(connect.CodeOf(err), connect.CodeDeadlineExceeded),
		Same(time.Since(begun) < 3*time.Second, true),
	)
}

func refusal(client weirv1connect.ChatServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	request := &weirv1.CreateChatRequest{Chat: chat("nobody/nothing", "")}
	_, ofCall := client.CreateChat(ctx, ask(request))
	_, _, ofStream := read(client, chat("nobody/nothing", ""), callTimeout)
	return All(isModelNotFound(ofCall), isModelNotFound(ofStream))
}

func broken(client weirv1connect.ChatServiceClient) error {
	options := `{"sim":{"tokens":50,"fault":"reset","fault_after":4}}`
	text, _, err := read(client, chat("sim/text", options), callTimeout)
	return All(Same(connect.CodeOf(err), connect.CodeUnavailable), Same(text != "", true))
}

func listModels() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	gets := &countingTransport{below: transport(false)}
	client := weirv1connect.NewModelServiceClient(
		&http.Client{Transport: gets}, "http://"+Address, connect.WithHTTPGet())
	found, err := client.ListModels(ctx, ask(&weirv1.ListModelsRequest{}))
	if err != nil {
		return err
	}
	return All(Same(len(found.Msg.GetModels()) >= 4, true), Same(gets.count, 1))
}

func listTeams() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	client := adminv1connect.NewAdminServiceClient(
		&http.Client{Transport: transport(false)}, "http://"+Address)
	request := connect.NewRequest(&adminv1.ListTeamsRequest{})
	request.Header().Set("authorization", "Bearer "+AdminKey)
	found, err := client.ListTeams(ctx, request)
	if err != nil {
		return err
	}
	return Same(found.Msg.GetTeams()[0].GetName(), "teams/first")
}

// read gathers a stream's text, its last message and the error that ended it.
func read(
	client weirv1connect.ChatServiceClient, chat *weirv1.Chat, timeout time.Duration,
) (string, *weirv1.StreamChatResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	events, err := client.StreamChat(ctx, ask(&weirv1.StreamChatRequest{Chat: chat}))
	if err != nil {
		return "", nil, err
	}
	defer events.Close()
	var text strings.Builder
	var last *weirv1.StreamChatResponse
	for events.Receive() {
		last = events.Msg()
		text.WriteString(last.GetTextDelta().GetText())
	}
	return text.String(), last, events.Err()
}

func isModelNotFound(err error) error {
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("no error of Connect: %v", err)
	}
	for _, detail := range refused.Details() {
		value, err := detail.Value()
		if err != nil {
			return err
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			return All(
				Same(refused.Code(), connect.CodeNotFound),
				Same(info.GetReason(), "MODEL_NOT_FOUND"),
				Same(info.GetDomain(), "weir"),
			)
		}
	}
	return fmt.Errorf("no ErrorInfo: %w", err)
}

func chat(model, providerOptions string) *weirv1.Chat {
	part := &weirv1.ContentPart{Part: &weirv1.ContentPart_Text{Text: &weirv1.Text{Text: Text}}}
	message := &weirv1.Message{Role: weirv1.Role_ROLE_USER, Parts: []*weirv1.ContentPart{part}}
	return &weirv1.Chat{
		Model:           model,
		Messages:        []*weirv1.Message{message},
		ProviderOptions: providerOptions,
	}
}

func ask[T any](message *T) *connect.Request[T] {
	request := connect.NewRequest(message)
	request.Header().Set("authorization", "Bearer "+Key)
	return request
}

func transport(http2 bool) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Transport{Protocols: &protocols}
}

// countingTransport counts the requests by GET.
type countingTransport struct {
	below http.RoundTripper
	count int
}

func (counting *countingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet {
		counting.count++
	}
	return counting.below.RoundTrip(request)
}
