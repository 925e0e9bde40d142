//! Asks a running Weir by tonic, with stubs of prost. One line for each fact, `ok` or `FAIL`.

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use weir::chat_service_client::ChatServiceClient;
use weir::content_part::Part;
use weir::embed_input::Input;
use weir::embed_service_client::EmbedServiceClient;
use weir::model_service_client::ModelServiceClient;
use weir::stream_chat_response::Event;

#[allow(clippy::all)]
mod weir {
    tonic::include_proto!("weir.v1");
}

const TEXT: &str = "naïve façade, 日本語, 🌊";
const SLOW: &str = r#"{"sim":{"tps":20,"tokens":10000}}"#;
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

type Fact = Result<(), String>;
type Caller = InterceptedService<Channel, Credential>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let channel = Endpoint::from_shared(format!("http://{}", variable("WEIR_ADDRESS")))
        .expect("WEIR_ADDRESS is an address")
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .connect_lazy();
    let mut facts = Facts { failed: false };
    facts
        .attempt(
            "a unary call answers, whatever the script",
            answer(&channel),
        )
        .await;
    facts
        .attempt(
            "a stream begins, tells the text and finishes",
            stream(&channel),
        )
        .await;
    facts
        .attempt("a gzipped request is read", compressed(&channel))
        .await;
    facts
        .attempt("keepalive pings keep a quiet stream open", quiet(&channel))
        .await;
    facts
        .attempt(
            "a dropped stream harms no other call",
            drop_stream(&channel),
        )
        .await;
    facts
        .attempt("a deadline ends a unary call in time", deadline(&channel))
        .await;
    facts
        .attempt(
            "an unknown model is NOT_FOUND, with ErrorInfo",
            unknown_model(&channel),
        )
        .await;
    facts
        .attempt(
            "an unknown credential is UNAUTHENTICATED",
            stranger(&channel),
        )
        .await;
    facts
        .attempt("RetryInfo says how long to wait", retry_info(&channel))
        .await;
    facts
        .attempt(
            "an upstream that breaks ends the stream with a status",
            broken(&channel),
        )
        .await;
    facts
        .attempt("Embed answers one vector for each input", embed(&channel))
        .await;
    facts
        .attempt("ListModels lists", list_models(&channel))
        .await;
    ExitCode::from(u8::from(facts.failed))
}

async fn answer(channel: &Channel) -> Fact {
    let found = create(channel, chat("sim/echo", TEXT, ""))
        .await
        .map_err(tell)?;
    same(text_of(&found), TEXT)
}

async fn stream(channel: &Channel) -> Fact {
    let (events, end) = collect(channel, chat("sim/echo", TEXT, "")).await;
    end.map_err(tell)?;
    holds(
        matches!(events.first(), Some(Event::Started(_))),
        "the first is not `started`",
    )?;
    holds(
        matches!(events.last(), Some(Event::Finished(_))),
        "the last is not `finished`",
    )?;
    same(join_texts(&events), TEXT)
}

async fn compressed(channel: &Channel) -> Fact {
    let text = TEXT.repeat(500);
    let mut client = chats(channel)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let request = weir::CreateChatRequest {
        chat: Some(chat("sim/echo", &text, "")),
    };
    same(
        text_of(client.create_chat(request).await.map_err(tell)?.get_ref()),
        text,
    )
}

async fn quiet(channel: &Channel) -> Fact {
    let (events, end) = collect(
        channel,
        chat("sim/echo", TEXT, r#"{"sim":{"ttft_ms":3500}}"#),
    )
    .await;
    end.map_err(tell)?;
    same(join_texts(&events), TEXT)
}

async fn drop_stream(channel: &Channel) -> Fact {
    let request = weir::StreamChatRequest {
        chat: Some(chat("sim/text", TEXT, SLOW)),
    };
    let mut events = chats(channel)
        .stream_chat(request)
        .await
        .map_err(tell)?
        .into_inner();
    for _ in 0..3 {
        events.message().await.map_err(tell)?;
    }
    drop(events);
    answer(channel).await
}

async fn deadline(channel: &Channel) -> Fact {
    let begun = Instant::now();
    let slow = chat("sim/echo", TEXT, r#"{"sim":{"ttft_ms":60000}}"#);
    let mut request = Request::new(weir::CreateChatRequest { chat: Some(slow) });
    request.set_timeout(Duration::from_millis(300));
    let status = refused(chats(channel).create_chat(request).await)?;
    // tonic's own timer says Cancelled, and runs against Weir's DEADLINE_EXCEEDED.
    let known = [Code::DeadlineExceeded, Code::Cancelled].contains(&status.code());
    holds(known, &tell(status))?;
    holds(
        begun.elapsed() < Duration::from_secs(3),
        "it took longer than three seconds",
    )
}

async fn unknown_model(channel: &Channel) -> Fact {
    let status = refused(create(channel, chat("nobody/nothing", TEXT, "")).await)?;
    same(status.code(), Code::NotFound)?;
    let info = status
        .get_details_error_info()
        .ok_or("there is no ErrorInfo")?;
    same(info.reason.as_str(), "MODEL_NOT_FOUND")?;
    same(info.domain.as_str(), "weir")?;
    holds(
        info.metadata.contains_key("request_id"),
        "the error names no request",
    )
}

async fn stranger(channel: &Channel) -> Fact {
    let credential = Credential(format!("Bearer wk_{}", "z".repeat(40)));
    let mut client = ChatServiceClient::with_interceptor(channel.clone(), credential);
    let status = refused(client.create_chat(weir::CreateChatRequest::default()).await)?;
    same(status.code(), Code::Unauthenticated)?;
    let info = status
        .get_details_error_info()
        .ok_or("there is no ErrorInfo")?;
    same(info.reason.as_str(), "CREDENTIAL_UNKNOWN")
}

async fn retry_info(channel: &Channel) -> Fact {
    let fault = r#"{"sim":{"fault":"status:429","retry_after_s":7}}"#;
    let status = refused(create(channel, chat("sim/echo", TEXT, fault)).await)?;
    same(status.code(), Code::ResourceExhausted)?;
    let retry = status
        .get_details_retry_info()
        .ok_or("there is no RetryInfo")?;
    same(retry.retry_delay, Some(Duration::from_secs(7)))
}

async fn broken(channel: &Channel) -> Fact {
    let fault = r#"{"sim":{"tokens":50,"fault":"reset","fault_after":4}}"#;
    let (events, end) = collect(channel, chat("sim/text", TEXT, fault)).await;
    same(refused(end)?.code(), Code::Unavailable)?;
    holds(
        !join_texts(&events).is_empty(),
        "the text before the fault was lost",
    )
}

async fn embed(channel: &Channel) -> Fact {
    let mut client = EmbedServiceClient::with_interceptor(channel.clone(), Credential::own());
    let input = |text: &str| weir::EmbedInput {
        input: Some(Input::Text(text.into())),
    };
    let request = weir::EmbedRequest {
        model: "sim/embed".into(),
        inputs: vec![input("a weir"), input("a dam")],
        dimensions: Some(64),
        ..Default::default()
    };
    let found = client.embed(request).await.map_err(tell)?.into_inner();
    same(found.embeddings.len(), 2)?;
    same(found.embeddings[1].values.len(), 64)
}

async fn list_models(channel: &Channel) -> Fact {
    let mut client = ModelServiceClient::with_interceptor(channel.clone(), Credential::own());
    let request = weir::ListModelsRequest::default();
    let found = client
        .list_models(request)
        .await
        .map_err(tell)?
        .into_inner();
    holds(
        found.models.iter().any(|model| model.name == "sim/echo"),
        "sim/echo is not listed",
    )
}

fn chat(model: &str, text: &str, provider_options: &str) -> weir::Chat {
    let part = Part::Text(weir::Text {
        text: text.into(),
        ..Default::default()
    });
    let message = weir::Message {
        role: weir::Role::User.into(),
        parts: vec![weir::ContentPart {
            part: Some(part),
            ..Default::default()
        }],
        ..Default::default()
    };
    weir::Chat {
        model: model.into(),
        messages: vec![message],
        provider_options: provider_options.into(),
        ..Default::default()
    }
}

fn chats(channel: &Channel) -> ChatServiceClient<Caller> {
    ChatServiceClient::with_interceptor(channel.clone(), Credential::own())
}

async fn create(channel: &Channel, chat: weir::Chat) -> Result<weir::CreateChatResponse, Status> {
    let request = weir::CreateChatRequest { chat: Some(chat) };
    Ok(chats(channel).create_chat(request).await?.into_inner())
}

/// Reads a stream to its end: what has come, and how it ended.
async fn collect(channel: &Channel, chat: weir::Chat) -> (Vec<Event>, Result<(), Status>) {
    let mut found = Vec::new();
    let request = weir::StreamChatRequest { chat: Some(chat) };
    let mut events = match chats(channel).stream_chat(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return (found, Err(status)),
    };
    loop {
        match events.message().await {
            Ok(Some(message)) => found.extend(message.event),
            Ok(None) => return (found, Ok(())),
            Err(status) => return (found, Err(status)),
        }
    }
}

fn text_of(answer: &weir::CreateChatResponse) -> &str {
    let message = answer
        .choices
        .first()
        .and_then(|choice| choice.message.as_ref());
    match message.and_then(|message| message.parts.first()?.part.as_ref()) {
        Some(Part::Text(text)) => &text.text,
        _ => "",
    }
}

fn join_texts(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::TextDelta(delta) => Some(delta.text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Adds the credential to every call.
#[derive(Clone)]
struct Credential(String);

impl Credential {
    fn own() -> Self {
        Credential(format!("Bearer {}", variable("WEIR_KEY")))
    }
}

impl tonic::service::Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = self
            .0
            .parse()
            .map_err(|_| Status::internal("the key is no ASCII"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

struct Facts {
    failed: bool,
}

impl Facts {
    async fn attempt(&mut self, text: &str, fact: impl Future<Output = Fact>) {
        let tried = tokio::time::timeout(CALL_TIMEOUT, fact).await;
        match tried.unwrap_or_else(|_| Err(format!("not within {CALL_TIMEOUT:?}"))) {
            Ok(()) => println!("ok {text}"),
            Err(why) => {
                self.failed = true;
                println!("FAIL {text}: {}", why.replace('\n', " "));
            }
        }
    }
}

fn same<T: PartialEq<U> + Debug, U: Debug>(found: T, wanted: U) -> Fact {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{found:?} instead of {wanted:?}"))
}

fn holds(condition: bool, what: &str) -> Fact {
    condition.then_some(()).ok_or_else(|| what.into())
}

fn refused<T: Debug>(end: Result<T, Status>) -> Result<Status, String> {
    match end {
        Ok(answer) => Err(format!("answered instead of failing: {answer:?}")),
        Err(status) => Ok(status),
    }
}

fn tell(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}
