use std::collections::VecDeque;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::fixture::{WIDGET_STATUS, WIDGETS, Widget, WidgetStatus, widget};
use crate::testing::{Call, Feed, MockApi};

mod tracing_tests;

const CONFIGS: &str = "/api/v1/configmaps";

/// What a scripted reconcile does.
enum Act {
    Return(Result<Next, Failure>),
    Panic,
    Hang,
}

/// Tells the test of every call and does what the test said, else returns `Done`.
#[derive(Clone)]
struct Script {
    calls: mpsc::UnboundedSender<(String, Instant)>,
    acts: Arc<Mutex<VecDeque<Act>>>,
}

impl Script {
    async fn act(&self, name: String) -> Result<Next, Failure> {
        let _ = self.calls.send((name, Instant::now()));
        let act = self.acts.lock().unwrap().pop_front();
        match act {
            None => Ok(Next::Done),
            Some(Act::Return(result)) => result,
            Some(Act::Panic) => panic!("as the test said"),
            Some(Act::Hang) => std::future::pending().await,
        }
    }
}

impl Reconciler<Widget> for Script {
    type Error = Failure;

    async fn reconcile(&self, object: Arc<Widget>) -> Result<Next, Failure> {
        self.act(object.name_any()).await
    }

    async fn absent(&self, key: &ObjectRef<Widget>) -> Result<(), Failure> {
        self.act(format!("absent {}", key.name)).await.map(|_| ())
    }
}

/// A running controller of widgets over a mock API server.
struct Bench {
    widgets: Feed,
    configs: Feed,
    handle: Handle<Widget>,
    script: Script,
    calls: mpsc::UnboundedReceiver<(String, Instant)>,
    shutdown: CancellationToken,
    run: JoinHandle<()>,
    /// Last, so that its own checks come after everything that may call it.
    api: MockApi,
}

impl Bench {
    fn start(options: Options, objects: &[Value]) -> Self {
        Self::start_with(options, objects, |controller, _| controller)
    }

    fn start_with(
        options: Options,
        objects: &[Value],
        build: impl FnOnce(Controller<Widget>, &MockApi) -> Controller<Widget>,
    ) -> Self {
        let api = MockApi::new();
        let (widgets, configs) = (api.feed(WIDGETS, "Widget"), api.feed(CONFIGS, "ConfigMap"));
        for object in objects {
            widgets.put(object.clone());
        }
        let controller =
            Controller::<Widget>::new("widgets", Api::all(api.client()), watcher::Config::default(), options);
        let controller = build(controller, &api);
        let handle = controller.handle();
        let (sender, calls) = mpsc::unbounded_channel();
        let script = Script { calls: sender, acts: Arc::default() };
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(controller.run(script.clone(), shutdown.clone()));
        Self { widgets, configs, handle, script, calls, shutdown, run, api }
    }

    fn then(&self, act: Act) {
        self.script.acts.lock().unwrap().push_back(act);
    }

    /// The next reconciled name.
    async fn call(&mut self) -> String {
        self.timed_call().await.0
    }

    async fn timed_call(&mut self) -> (String, Instant) {
        // Longer than any resync of these tests; time is paused.
        let limit = Duration::from_secs(100_000);
        tokio::time::timeout(limit, self.calls.recv()).await.expect("a reconcile").unwrap()
    }

    async fn quiet_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.calls.recv()).await.is_err()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.run.await.unwrap();
        self.api.verify().await;
    }
}

fn options() -> Options {
    let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(4), jitter: 0.0 };
    Options { backoff, resync: Duration::from_secs(10_000), workers: 2, ..Options::default() }
}

fn failed(class: Class) -> Act {
    Act::Return(Err(Failure::new(class, "Scripted", "as the test said".into())))
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn every_object_is_reconciled_at_start_and_after_each_change() {
    let mut bench = Bench::start(options(), &[widget("a", "", Value::Null), widget("b", "", Value::Null)]);
    let mut first = [bench.call().await, bench.call().await];
    first.sort();
    assert_eq!(first, ["a", "b"]);
    assert!(bench.quiet_for(MINUTE).await);
    bench.widgets.put(widget("b", "", json!({"phase": "Ready"})));
    assert_eq!(bench.call().await, "b");
    bench.widgets.put(widget("c", "", Value::Null));
    assert_eq!(bench.call().await, "c");
    bench.widgets.remove(None, "a");
    assert_eq!(bench.call().await, "absent a");
    assert!(bench.quiet_for(MINUTE).await);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_change_does_not_wake_where_only_spec_and_metadata_count() {
    let trigger = Trigger::SpecOrMetadata;
    let mut bench = Bench::start(Options { trigger, ..options() }, &[widget("a", "", Value::Null)]);
    bench.call().await;
    bench.widgets.put(widget("a", "", json!({"phase": "Ready"})));
    assert!(bench.quiet_for(MINUTE).await);
    let mut changed = widget("a", "", Value::Null);
    changed["metadata"]["generation"] = json!(2);
    bench.widgets.put(changed.clone());
    assert_eq!(bench.call().await, "a");
    changed["metadata"]["labels"] = json!({"x": "y"});
    bench.widgets.put(changed.clone());
    assert_eq!(bench.call().await, "a");
    changed["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    bench.widgets.put(changed);
    assert_eq!(bench.call().await, "a");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanished_while_the_watch_was_down_is_met() {
    let mut bench = Bench::start(options(), &[widget("a", "", Value::Null), widget("b", "", Value::Null)]);
    bench.call().await;
    bench.call().await;
    bench.widgets.remove_unseen(None, "a");
    assert_eq!(bench.call().await, "absent a");
    assert!(bench.quiet_for(MINUTE).await, "the unchanged object of the repeated list woke nobody");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_class_of_an_error_decides_when_it_is_tried_again() {
    let mut bench = Bench::start(options(), &[]);
    for act in [
        failed(Class::Transient),
        failed(Class::Transient),
        failed(Class::Transient),
        failed(Class::Transient),
        failed(Class::Waiting(Duration::from_secs(7))),
        failed(Class::Waiting(Duration::from_secs(7))),
        failed(Class::Transient),
        Act::Return(Ok(Next::After(Duration::from_secs(30)))),
        failed(Class::Terminal),
    ] {
        bench.then(act);
    }
    bench.widgets.put(widget("a", "", Value::Null));
    let (_, mut before) = bench.timed_call().await;
    let mut delays = Vec::new();
    for _ in 0..8 {
        let (_, at) = bench.timed_call().await;
        delays.push((at - before).as_secs());
        before = at;
    }
    assert_eq!(delays, [1, 2, 4, 4, 7, 7, 1, 30]);
    // Terminal: not again until it changes.
    assert!(bench.quiet_for(Duration::from_secs(8_000)).await);
    bench.widgets.put(widget("a", "", json!({"phase": "Other"})));
    assert_eq!(bench.call().await, "a");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_refused_by_its_own_fence_is_tried_again_soon_however_often() {
    let mut bench = Bench::start(options(), &[]);
    for _ in 0..6 {
        let conflict = Failure::new(Class::Transient, crate::error::CONFLICT, "as the test said".into());
        bench.then(Act::Return(Err(conflict)));
    }
    bench.then(failed(Class::Transient));
    bench.widgets.put(widget("a", "", Value::Null));
    let (_, mut before) = bench.timed_call().await;
    let mut delays = Vec::new();
    for _ in 0..7 {
        let (_, at) = bench.timed_call().await;
        delays.push((at - before).as_millis());
        before = at;
    }
    assert_eq!(delays, [500, 500, 500, 500, 500, 500, 1_000]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn everything_is_looked_at_again_about_once_per_resync() {
    let objects: Vec<_> = (0..20).map(|n| widget(&format!("w{n}"), "", Value::Null)).collect();
    let mut bench = Bench::start(options(), &objects);
    bench.then(failed(Class::Terminal));
    let mut first = Vec::new();
    for _ in 0..20 {
        first.push(bench.timed_call().await);
    }
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let (name, at) = bench.timed_call().await;
        let started = first.iter().find(|(before, _)| *before == name).unwrap().1;
        gaps.push((at - started).as_secs());
    }
    assert!(gaps.iter().all(|gap| (9_000..=11_000).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max() > gaps.iter().min(), "not all at once: {gaps:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_hang_are_transient_errors_and_the_worker_lives() {
    let options = Options { workers: 1, deadline: Duration::from_secs(20), ..options() };
    let mut bench = Bench::start(options, &[]);
    bench.then(Act::Panic);
    bench.then(Act::Hang);
    bench.widgets.put(widget("a", "", Value::Null));
    let (_, panicked) = bench.timed_call().await;
    let (_, hung) = bench.timed_call().await;
    let (_, done) = bench.timed_call().await;
    assert_eq!(((hung - panicked).as_secs(), (done - hung).as_secs()), (1, 22));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_secondary_object_wakes_whom_it_concerns_before_and_after_a_change() {
    let mut bench = Bench::start_with(options(), &[], |controller, api| {
        controller.watches(
            Api::<ConfigMap>::all(api.client()),
            watcher::Config::default(),
            |config: &ConfigMap| {
                config.labels().get("widget").map(|name| ObjectRef::new(name)).into_iter().collect()
            },
        )
    });
    let config =
        |owner: &str| json!({"metadata": {"name": "c", "namespace": "n", "labels": {"widget": owner}}});
    bench.configs.put(config("a"));
    assert_eq!(bench.call().await, "absent a");
    bench.configs.put(config("b"));
    let mut both = [bench.call().await, bench.call().await];
    both.sort();
    assert_eq!(both, ["absent a", "absent b"]);
    bench.configs.remove_unseen(Some("n"), "c");
    assert_eq!(bench.call().await, "absent b");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reconciled_before_all_caches_are_filled() {
    let (configs, writer) = crate::store::<ConfigMap>();
    let mut bench = Bench::start_with(options(), &[widget("a", "", Value::Null)], |controller, api| {
        let missing = Api::<ConfigMap>::namespaced(api.client(), "late");
        controller.watches_into(writer, missing, watcher::Config::default(), |_| Vec::new())
    });
    let list = "/api/v1/namespaces/late/configmaps";
    bench.api.expect(Call::get(list).refused(503, "ServiceUnavailable", "starting"));
    bench.api.verify().await;
    assert!(!bench.handle.is_synced());
    assert_eq!(bench.handle.unsynced(), ["configmaps"]);
    let late = bench.api.feed(list, "ConfigMap");
    late.put(json!({"metadata": {"name": "c", "namespace": "late"}}));
    assert_eq!(bench.call().await, "a");
    bench.handle.wait_synced().await;
    assert_eq!(configs.len(), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_learns_how_the_reconcile_ended() {
    let mut bench = Bench::start(options(), &[widget("a", "", Value::Null)]);
    bench.call().await;
    assert_eq!(bench.handle.wake_and_wait(ObjectRef::new("a")).await.unwrap(), Seen::Reconciled);
    assert_eq!(bench.handle.wake_and_wait(ObjectRef::new("x")).await.unwrap(), Seen::Absent);
    bench.then(failed(Class::Terminal));
    let failure = bench.handle.wake_and_wait(ObjectRef::new("a")).await.unwrap_err();
    assert_eq!((failure.class(), failure.reason()), (Class::Terminal, "Scripted"));
    assert_eq!(failure.to_string(), "as the test said");
    assert_eq!(bench.handle.wake_all_where(|widget| widget.spec.size == 1), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopping_controller_lets_runs_finish_and_answers_everybody() {
    let mut bench = Bench::start(Options { workers: 1, ..options() }, &[widget("a", "", Value::Null)]);
    bench.then(Act::Hang);
    bench.call().await;
    let waiter = {
        let handle = bench.handle.clone();
        tokio::spawn(async move { handle.wake_and_wait(ObjectRef::new("b")).await })
    };
    tokio::task::yield_now().await;
    let before = Instant::now();
    let handle = bench.handle.clone();
    bench.stop().await;
    assert_eq!(before.elapsed(), Options::default().drain, "the drain time bounds a hanging run");
    assert_eq!(waiter.await.unwrap().unwrap_err().reason(), "Stopping");
    assert_eq!(handle.wake_and_wait(ObjectRef::new("c")).await.unwrap_err().class(), Class::Transient);
}

/// Writes its status from what it is given, as services do.
struct Writing {
    api: Api<Widget>,
    seen: mpsc::UnboundedSender<String>,
}

impl Reconciler<Widget> for Writing {
    type Error = crate::Error;

    async fn reconcile(&self, object: Arc<Widget>) -> Result<Next, crate::Error> {
        let _ = self.seen.send(object.resource_version().unwrap_or_default());
        let status = WidgetStatus { phase: Some("Ready".into()), ..WidgetStatus::default() };
        crate::status::write(&self.api, "x", object, &status).await?;
        Ok(Next::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_behind_our_own_write_is_waited_for() {
    let api = MockApi::new();
    let widgets = api.feed(WIDGETS, "Widget");
    let cached = widgets.put(widget("ml", "", Value::Null));
    let written = (cached.parse::<u64>().unwrap() + 1).to_string();
    let answer = widget("ml", &written, json!({"phase": "Ready"}));
    api.expect(Call::merge(WIDGET_STATUS).answers(answer.clone()));
    let objects: Api<Widget> = Api::all(api.client());
    let controller = Controller::new("widgets", objects.clone(), watcher::Config::default(), options());
    let handle = controller.handle();
    let (seen, mut versions) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(controller.run(Writing { api: objects, seen }, shutdown.clone()));
    assert_eq!(versions.recv().await.unwrap(), cached);
    api.verify().await;
    // Woken while the watch still shows the old version: no second, refused write.
    let waiter = tokio::spawn(async move { handle.wake_and_wait(ObjectRef::new("ml")).await });
    assert!(tokio::time::timeout(Duration::from_secs(1), versions.recv()).await.is_err());
    assert_eq!(widgets.put(answer), written);
    assert_eq!(waiter.await.unwrap().unwrap(), Seen::Reconciled);
    assert_eq!(versions.recv().await.unwrap(), written);
    shutdown.cancel();
    run.await.unwrap();
    api.verify().await;
}
