//! The span of a reconcile: its parent, its links, and the root that the owner emits.

use std::sync::OnceLock;

use mlp_model::Flow;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Instrument;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::fixture::WIDGET;

/// The roots emitted in this test binary; each test uses its own uids.
static ROOTS: Mutex<Vec<(Flow, String)>> = Mutex::new(Vec::new());

fn emit(flow: &Flow, name: &str) {
    ROOTS.lock().unwrap().push((*flow, name.to_owned()));
}

fn emitted(flow: &Flow) -> usize {
    ROOTS.lock().unwrap().iter().filter(|(root, _)| root == flow).count()
}

/// Spans of this thread go to the exporter while the guard lives.
fn exporting() -> (InMemorySpanExporter, DefaultGuard) {
    // While there is one subscriber only, tracing asks the thread that meets a span first whether anybody
    // listens, and remembers "nobody" when that is a thread of another test. With two it asks them all.
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    (exporter, guard)
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_continues_the_flow_and_links_to_what_woke_it() {
    let (exporter, _guard) = exporting();
    let bench = Bench::start(options(), &[widget("linked", "", Value::Null)]);
    let consumer = tracing::info_span!("process team-isolated");
    bench.handle.wake_and_wait(ObjectRef::new("linked")).instrument(consumer).await.unwrap();
    bench.stop().await;
    let spans = exporter.get_finished_spans().unwrap();
    let named = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let consumer = named("process team-isolated").next().unwrap();
    let flow = Flow::derive("uid-linked", 1);
    assert!(named("reconcile Widget").count() >= 1);
    for span in named("reconcile Widget") {
        assert_eq!(span.span_context.trace_id(), TraceId::from_bytes(flow.trace_id));
        assert_eq!(span.parent_span_id, SpanId::from_bytes(flow.root_span_id));
    }
    let links: Vec<_> = named("reconcile Widget").flat_map(|span| span.links.iter()).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].span_context.span_id(), consumer.span_context.span_id());
    assert_eq!(links[0].span_context.trace_id(), consumer.span_context.trace_id());
}

/// What a reconcile of these tests does, by the object's name.
struct ByName {
    client: kube::Client,
    others: OnceLock<Handle<Widget>>,
}

impl Reconciler<Widget> for ByName {
    type Error = Failure;

    async fn reconcile(&self, object: Arc<Widget>) -> Result<Next, Failure> {
        let api = Api::<Widget>::all(self.client.clone());
        match object.name_any().as_str() {
            "reads" => drop(api.get("ml").await),
            "writes" => drop(api.delete("ml", &Default::default()).await),
            "writes in a task" => {
                tokio::spawn(async move { drop(api.delete("ml", &Default::default()).await) }).await.unwrap();
            }
            "has a child that writes" => {
                let write = async { drop(api.delete("ml", &Default::default()).await) };
                write.instrument(tracing::info_span!("child")).await;
            }
            "notes" => assert!(crate::effect::note()),
            "wakes" => self.others.get().unwrap().wake(ObjectRef::new("nobody")),
            "wakes none" => assert_eq!(self.others.get().unwrap().wake_all_where(|_| false), 0),
            "fails" => return Err(Failure::new(Class::Terminal, "Scripted", "as the test said".into())),
            _ => {}
        }
        Ok(Next::Done)
    }
}

/// Reconciles one object of this name once; whether its span says that nothing was changed.
async fn is_marked(name: &'static str, counted: bool) -> bool {
    let (exporter, _guard) = exporting();
    let api = MockApi::new();
    let widgets = api.feed(WIDGETS, "Widget");
    widgets.put(widget(name, "", Value::Null));
    match name {
        "reads" => api.expect(Call::get(WIDGET).not_found()),
        "writes" | "writes in a task" | "has a child that writes" => {
            api.expect(Call::delete(WIDGET).not_found());
        }
        _ => {}
    }
    let (client, writes) = WriteCounter::wrap(api.client());
    let options = Options { writes: counted.then(|| writes.clone()), ..options() };
    let all = Api::all(api.client());
    let controller = Controller::<Widget>::new("widgets", all, watcher::Config::default(), options);
    let handle = controller.handle();
    let others = OnceLock::from(Bench::start(super::options(), &[]).handle);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(controller.run(ByName { client, others }, shutdown.clone()));
    let wait = handle.wake_and_wait(ObjectRef::new(name));
    let _ = match name {
        "is caused" => wait.instrument(tracing::info_span!("process")).await,
        _ => wait.await,
    };
    shutdown.cancel();
    run.await.unwrap();
    api.verify().await;
    let attributed = name != "writes in a task";
    assert!(writes.unattributed() == 0 || !attributed, "{name}: others would count as having written");
    let spans = exporter.get_finished_spans().unwrap();
    let of_object = spans.iter().filter(|span| span.name == "reconcile Widget");
    let marks: Vec<_> = of_object
        .map(|span| {
            span.attributes.iter().any(|said| {
                said.key.as_str() == mlp_model::flow::EFFECT
                    && said.value == opentelemetry::Value::Bool(false)
            })
        })
        .collect();
    // The last look is the one that was waited for.
    *marks.last().unwrap_or_else(|| panic!("{name} was not looked at"))
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_says_that_it_changed_nothing_where_that_is_certain() {
    for (name, expected) in [
        ("does nothing", true),
        ("reads", true),
        ("wakes none", true),
        ("is caused", false),
        ("writes", false),
        ("writes in a task", false),
        ("has a child that writes", false),
        ("notes", false),
        ("wakes", false),
        ("fails", false),
    ] {
        assert_eq!(is_marked(name, true).await, expected, "{name}");
        assert!(!is_marked(name, false).await, "{name}, with a client that counts no writes");
    }
    assert!(!crate::effect::note(), "outside of a reconcile");
}

#[tokio::test(start_paused = true)]
async fn the_root_is_emitted_once_per_generation_unless_it_was_observed_or_continues_another() {
    let mut observed = widget("observed", "", json!({"observedGeneration": 1}));
    let continued_flow = Flow::derive("elsewhere", 7);
    let mut continued = widget("continued", "", Value::Null);
    continued["metadata"]["annotations"] =
        json!({"mlplatform.dev/traceparent": continued_flow.traceparent()});
    let options = Options { emit_root: Some(emit), ..options() };
    let bench = Bench::start(options, &[widget("fresh", "", Value::Null), observed.clone(), continued]);
    for name in ["fresh", "fresh", "observed", "continued"] {
        bench.handle.wake_and_wait(ObjectRef::new(name)).await.unwrap();
    }
    observed["metadata"]["generation"] = json!(2);
    bench.widgets.put(observed);
    // The store is filled before the key is woken, so a second look suffices to have seen it.
    let mut bench = bench;
    while emitted(&Flow::derive("uid-observed", 2)) == 0 {
        bench.call().await;
    }
    bench.handle.wake_and_wait(ObjectRef::new("observed")).await.unwrap();
    assert_eq!(emitted(&Flow::derive("uid-fresh", 1)), 1);
    assert_eq!(emitted(&Flow::derive("uid-observed", 1)), 0);
    assert_eq!(emitted(&Flow::derive("uid-observed", 2)), 1);
    assert_eq!(emitted(&Flow { derived: false, ..continued_flow }), 0);
    assert!(ROOTS.lock().unwrap().iter().all(|(_, name)| name == "change Widget"));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_owner_emits_no_root_again() {
    let options = || Options { emit_root: Some(emit), ..options() };
    let flow = Flow::derive("uid-restarted", 1);
    let look =
        async |status: Value, elsewhere: Option<i64>| {
            let bench = Bench::start_with(options(), &[widget("restarted", "", status)], |controller, _| {
                match elsewhere {
                    Some(seen) => controller.observed_by(move |_| Some(seen)),
                    None => controller,
                }
            });
            bench.handle.wake_and_wait(ObjectRef::new("restarted")).await.unwrap();
            bench.stop().await;
        };
    look(Value::Null, None).await;
    assert_eq!(emitted(&flow), 1);
    // As the first reconcile left it, whether with success or without; a new process then.
    look(json!({"observedGeneration": 1, "phase": "Failed"}), None).await;
    // A kind whose status cannot say it: the owner recorded it elsewhere.
    look(Value::Null, Some(1)).await;
    assert_eq!(emitted(&flow), 1);
    look(Value::Null, Some(0)).await;
    assert_eq!(emitted(&flow), 2, "a record that is behind does not count");
}
