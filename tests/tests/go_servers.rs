//! Servers that nobody built for a test: Debian's prometheus, etcd and caddy, with
//! Go 1.19, cgo and no symbols, under load. What the load does to known keys is
//! counted once and once only, at the lines that do it, and the servers live on.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result};
use mapprof_tests::go::run;
use mapprof_tests::process::eventually;
use mapprof_tests::servers::{self, Profile, Server};
use mapprof_tests::summary::Ops;
use mapprof_tests::{Mapprof, can_profile};

const LOAD: Duration = Duration::from_secs(4);

#[test]
fn caddy_serves_files() -> Result<()> {
    const CONNECTIONS: usize = 4;
    const REQUESTS: u64 = 400;
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let [port] = servers::free_ports()?;
    fs::write(folder.path().join("page.txt"), "a page")?;
    let config = folder.path().join("Caddyfile");
    fs::write(
        &config,
        format!(
            "{{\n\tadmin off\n}}\nhttp://127.0.0.1:{port} {{\n\troot * {}\n\tfile_server\n}}\n",
            folder.path().display()
        ),
    )?;
    let mut command = Command::new(servers::program(servers::CADDY)?);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
    for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(home, folder.path());
    }
    let page = |headers: &[(&str, &str)]| servers::get(port, "/page.txt", headers);
    let server = Server::start(command, folder.path(), (port, "/page.txt", "a page"))?;

    let running = Mapprof::stat(server.pid()).attach()?;
    let ask = || -> Result<()> {
        for i in 0..REQUESTS {
            let warm: &[_] = if i % 4 == 0 { &[("X-Warm", "1")] } else { &[] };
            page(&[&[("X-Hot", "1")], warm].concat())?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("a client panicked"))
    })?;
    let profile = Profile::of(running.interrupt()?)?;

    let requests = REQUESTS * CONNECTIONS as u64;
    for (header, count) in [("X-Hot", requests), ("X-Warm", requests / 4)] {
        // Go 1.19's net/textproto: canonicalMIMEHeaderKey looks every name up among
        // the common ones; readMIMEHeader looks for earlier values and sets them.
        let common = profile.ops("map[string]string", header)?;
        assert_eq!(common, Ops { lookup: count, ..Ops::default() }, "{header}");
        let headers = profile.ops("textproto.MIMEHeader", header)?;
        assert_eq!(headers, Ops { lookup: count, insert: count, ..Ops::default() }, "{header}");
    }
    profile.used_from("map[string]string", "net/textproto.")?;
    profile.used_from("textproto.MIMEHeader", "net/textproto.")?;
    profile.used_from("map[string]interface {}", "github.com/caddyserver/caddy/v2")?;
    page(&[])?;
    server.stop()
}

#[test]
fn etcd_is_written_by_its_client() -> Result<()> {
    const PUTS: u64 = 90;
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let etcdctl = servers::program(servers::ETCDCTL)?;
    let (server, port) = start_etcd(folder.path())?;
    let client = || {
        let mut command = Command::new(&etcdctl);
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints=127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    // etcd looks for watchers of a key only once there is any watcher at all.
    let _watch = Killed(client().args(["watch", "hot"]).spawn()?);
    eventually("etcd has a watcher", Duration::from_secs(60), || {
        let metrics = servers::get(port, "/metrics", &[])?;
        Ok(metrics.lines().any(|line| line == "etcd_debugging_mvcc_watcher_total 1"))
    })?;

    let running = Mapprof::stat(server.pid()).attach()?;
    for i in 0..PUTS {
        let key = if i % 3 == 0 { "warm" } else { "hot" };
        run(client().args(["put", key, &i.to_string()]))?;
    }
    let profile = Profile::of(running.interrupt()?)?;

    // etcd 3.4's mvcc/watcher_group.go: newWatcherBatch looks up each written key.
    let lookups = |lookup| Ops { lookup, ..Ops::default() };
    assert_eq!(profile.ops("mvcc.watcherSetByKey", "hot")?, lookups(PUTS * 2 / 3));
    assert_eq!(profile.ops("mvcc.watcherSetByKey", "warm")?, lookups(PUTS / 3));
    assert_eq!(profile.all_ops("mvcc.watcherSetByKey"), lookups(PUTS));
    profile.used_from("mvcc.watcherSetByKey", "go.etcd.io/etcd/mvcc.(*watcherGroup).")?;
    // pkg/wait/wait.go: each write is registered once and triggered once.
    let waits = profile.all_ops("map[uint64]chan interface {}");
    assert_eq!((waits.insert, waits.delete), (PUTS, PUTS));
    profile.used_from("map[uint64]chan interface {}", "go.etcd.io/etcd/pkg/wait.(*list).")?;

    let last =
        client().args(["get", "hot", "--print-value-only"]).stdout(Stdio::piped()).output()?;
    assert_eq!(String::from_utf8_lossy(&last.stdout).trim(), (PUTS - 1).to_string());
    server.stop()
}

/// An etcd of its own, alone in its cluster, and the port for its clients.
fn start_etcd(folder: &Path) -> Result<(Server, u16)> {
    let [port, peers] = servers::free_ports()?;
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new(servers::program(servers::ETCD)?);
    command
        .arg("--data-dir")
        .arg(folder.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")]);
    Ok((Server::start(command, folder, (port, "/health", "true"))?, port))
}

#[test]
fn prometheus_scrapes_itself() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let [port] = servers::free_ports()?;
    let exporter = Exporter::start()?;
    let config = folder.path().join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs:\n\
             - {{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n\
             - {{job_name: known, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}\n",
            exporter.port
        ),
    )?;
    let mut command = Command::new(servers::program(servers::PROMETHEUS)?);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let server = Server::start(command, folder.path(), (port, "/-/ready", "eady"))?;
    // Its targets are asked for the first time seconds after its start.
    eventually("prometheus scrapes", Duration::from_secs(60), || {
        Ok(servers::get(port, "/api/v1/query?query=up", &[])?.contains("known"))
    })?;

    let running = Mapprof::stat(server.pid()).attach()?;
    exporter.serve();
    sleep(LOAD);
    exporter.refuse();
    // Whatever was being scraped has been by then.
    sleep(Duration::from_secs(1));
    let profile = Profile::of(running.interrupt()?)?;

    // prometheus 2.42's scrape/scrape.go: of each line of a scrape, getDropped and
    // get look its text up, one map each.
    for (series, least) in [(HOT, 5), (WARM, 2)] {
        let scraped = samples(port, series)?;
        assert!(scraped >= least, "{series} was scraped {scraped} times");
        let cached = profile.ops("map[string]*scrape.cacheEntry", series)?;
        assert_eq!(cached.lookup, scraped, "{series}");
        let dropped = profile.ops("map[string]*uint64", series)?;
        assert_eq!(dropped, Ops { lookup: scraped, ..Ops::default() }, "{series}");
    }
    // addRef inserts a series once, and iterDone removes what a scrape lacks.
    let hot = profile.ops("map[string]*scrape.cacheEntry", HOT)?;
    assert_eq!((hot.insert, hot.delete), (1, 0));
    let scrape = "github.com/prometheus/prometheus/scrape.(*scrapeCache).";
    profile.used_from("map[string]*scrape.cacheEntry", scrape)?;
    profile.used_from("map[string]*uint64", scrape)?;
    let own = profile.ops("map[string]*scrape.cacheEntry", "go_goroutines")?;
    assert!(own.lookup > 0, "prometheus did not scrape itself");
    server.stop()
}

/// A series in every answer of the exporter.
const HOT: &str = "mapprof_test{key=\"hot\"}";
/// A series in every other answer.
const WARM: &str = "mapprof_test{key=\"warm\"}";

/// How many samples of a series prometheus has.
fn samples(port: u16, series: &str) -> Result<u64> {
    let query = format!("count_over_time({series}[1h])");
    let answer = servers::get(port, &format!("/api/v1/query?query={query}"), &[])?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let count = answer["data"]["result"][0]["value"][1].as_str();
    Ok(count.with_context(|| format!("no samples of {series}: {answer}"))?.parse()?)
}

/// Something to scrape that answers only between two moments.
struct Exporter {
    port: u16,
    open: Arc<AtomicBool>,
}

impl Exporter {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let open = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&open);
        thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                let answer = if shared.load(Ordering::SeqCst) {
                    let warm = if count % 2 == 0 { format!("{WARM} 1\n") } else { String::new() };
                    let kind = "Content-Type: text/plain; version=0.0.4";
                    format!("HTTP/1.0 200 OK\r\n{kind}\r\n\r\n{HOT} 1\n{warm}")
                } else {
                    "HTTP/1.0 503 Not now\r\n\r\n".to_owned()
                };
                // A scrape that was given up counts for nobody.
                let _ = stream.and_then(|mut stream| {
                    let request = BufReader::new(stream.try_clone()?);
                    let end = |line: &std::io::Result<String>| {
                        line.as_ref().is_ok_and(|line| !line.is_empty())
                    };
                    request.lines().take_while(end).for_each(drop);
                    stream.write_all(answer.as_bytes())
                });
            }
        });
        Ok(Self { port, open })
    }

    fn serve(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn refuse(&self) {
        self.open.store(false, Ordering::SeqCst);
    }
}

/// A child that is killed in the end.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails where it has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
