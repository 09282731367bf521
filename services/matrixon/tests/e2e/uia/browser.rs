//! A headless Chromium, driven over the plain HTTP of `WebDriver`.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser; it ends with this value.
pub(crate) struct Browser {
    http: reqwest::Client,
    driver: Child,
    /// Kept open, or the driver could not write to it.
    _output: BufReader<ChildStdout>,
    session: String,
}

impl Browser {
    pub(crate) async fn start() -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver is missing: run .ci/install")?;
        let mut output = BufReader::new(driver.stdout.take().context("no output")?);
        let mut started = String::new();
        while !started.contains("started successfully on port") {
            started.clear();
            ensure!(output.read_line(&mut started)? > 0, "chromedriver does not start");
        }
        let started = started.trim_end();
        let port: u16 = started.trim_end_matches('.').rsplit(' ').next().unwrap_or_default().parse()?;
        let http = matrixon_testkit::client::http().timeout(PATIENCE).build()?;
        let mut browser = Self { http, driver, _output: output, session: format!("http://127.0.0.1:{port}/session") };
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let made = browser.call("POST", "", wanted).await?;
        browser.session.push('/');
        browser.session.push_str(made["sessionId"].as_str().context("no session")?);
        Ok(browser)
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let request = self.http.request(method.parse()?, format!("{}{path}", self.session));
        let request = if method == "POST" { request.json(&body) } else { request };
        let mut answer: Value = request.send().await?.json().await?;
        let value = answer["value"].take();
        if value["error"].is_string() {
            bail!("{method} {path}: {value}");
        }
        Ok(value)
    }

    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        self.call("POST", "/url", json!({ "url": url })).await.map(drop)
    }

    /// Runs a function's body; what it returns.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.call("POST", "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Runs `script` in every page before its own scripts.
    pub(crate) async fn run_first(&self, script: &str) -> Result<()> {
        let command = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": script } });
        self.call("POST", "/goog/cdp/execute", command).await.map(drop)
    }

    /// Waits until an expression is true.
    pub(crate) async fn wait_until(&self, expression: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            if self.run(&format!("return Boolean({expression})")).await.is_ok_and(|value| value == true) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let page = self.run("return document.documentElement.outerHTML").await?;
                bail!("{expression} does not come true on {page}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn find(&self, css: &str) -> Result<String> {
        let found = self.call("POST", "/element", json!({ "using": "css selector", "value": css })).await?;
        Ok(found[ELEMENT].as_str().context("no element")?.to_owned())
    }

    pub(crate) async fn click(&self, css: &str) -> Result<()> {
        let element = self.find(css).await?;
        self.call("POST", &format!("/element/{element}/click"), json!({})).await.map(drop)
    }

    pub(crate) async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let element = self.find(css).await?;
        self.call("POST", &format!("/element/{element}/value"), json!({ "text": text })).await.map(drop)
    }

    pub(crate) async fn window(&self) -> Result<String> {
        let handle = self.call("GET", "/window", Value::Null).await?;
        Ok(handle.as_str().context("no window")?.to_owned())
    }

    /// Waits for a second window, and goes there.
    pub(crate) async fn enter_other_than(&self, window: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let handles = self.call("GET", "/window/handles", Value::Null).await?;
            let handles: Vec<String> = serde_json::from_value(handles)?;
            if let Some(other) = handles.iter().find(|handle| *handle != window) {
                return self.switch_to(other).await;
            }
            ensure!(started.elapsed() < PATIENCE, "no second window opens");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn switch_to(&self, window: &str) -> Result<()> {
        self.call("POST", "/window", json!({ "handle": window })).await.map(drop)
    }

    /// Errors in the console: violations of the content security policy are among them.
    pub(crate) async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.call("POST", "/se/log", json!({ "type": "browser" })).await?;
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].to_string()).collect())
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.call("DELETE", "", Value::Null).await.map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // the driver takes its browser along when it is asked to end
        let pid = i32::try_from(self.driver.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _reaped = self.driver.wait();
    }
}
