//! Where two devices meet to log one of them in by a QR code (MSC4108).

use anyhow::{Context as _, Result};
use matrixon_testkit::{
    client::{Client, Method, Reply},
    tests,
};

use crate::env::{Env, Shared, expect_error};

tests![Env: two_devices_meet, only_what_was_seen_is_written_over, a_rendezvous_ends, contents_are_limited];

const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous";
const TEXT: (&str, &str) = ("content-type", "text/plain");

/// Begins a session; its path and its entity tag.
async fn begin(client: &Client, content: &str) -> Result<(String, String)> {
    let reply = client.request_with(Method::POST, PATH, &[TEXT], content.into()).await?;
    assert_eq!(reply.status, 201, "{}", reply.text);
    check_headers(&reply);
    let url = reply.body["url"].as_str().context("no url")?;
    let at = url.find("/_matrix/").context("no path in the url")?;
    Ok((url[at..].to_owned(), reply.header("etag").to_owned()))
}

#[track_caller]
fn check_headers(reply: &Reply) {
    assert!(reply.header("etag").starts_with('"'), "{:?}", reply.headers);
    assert!(reply.header("expires").ends_with("GMT") && reply.header("last-modified").ends_with("GMT"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.header("access-control-expose-headers").to_lowercase().contains("etag"));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
}

async fn put(client: &Client, path: &str, etag: &str, content: &str) -> Result<Reply> {
    client.request_with(Method::PUT, path, &[TEXT, ("if-match", etag)], content.into()).await
}

async fn get(client: &Client, path: &str, seen: Option<&str>) -> Result<Reply> {
    let seen = seen.map(|etag| ("if-none-match", etag));
    client.request_with(Method::GET, path, seen.as_slice(), Vec::new()).await
}

async fn two_devices_meet(env: Shared) -> Result<()> {
    let (new, old) = (env.nobody(), env.user("alice").await?);
    let versions = new.get("/_matrix/client/versions").await?;
    assert_eq!(versions["unstable_features"]["org.matrix.msc4108"], true, "{versions}");
    let (path, etag) = begin(&new, "").await?;
    let first = get(&old, &path, None).await?;
    assert_eq!((first.status, first.text.as_str(), first.header("content-type")), (200, "", "text/plain"));
    assert_eq!(get(&new, &path, Some(&etag)).await?.status, 304);
    let written = put(&old, &path, first.header("etag"), "hello").await?;
    assert_eq!(written.status, 202, "{}", written.text);
    check_headers(&written);
    assert_ne!(written.header("etag"), etag);
    let read = get(&new, &path, Some(&etag)).await?;
    assert_eq!((read.status, read.text.as_str()), (200, "hello"));
    check_headers(&read);
    assert_eq!(read.header("etag"), written.header("etag"));
    let preflight = new.request_with(Method::OPTIONS, &path, &[], Vec::new()).await?;
    assert!(preflight.header("access-control-allow-headers").to_lowercase().contains("if-match"));
    Ok(())
}

async fn only_what_was_seen_is_written_over(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let (path, etag) = begin(&nobody, "one").await?;
    assert_eq!(put(&nobody, &path, &etag, "two").await?.status, 202);
    for stale in [etag.as_str(), "\"nonsense\"", "*"] {
        let refused = put(&nobody, &path, stale, "three").await?;
        assert_eq!(refused.status, 412, "{}", refused.text);
        assert_eq!(refused.body["org.matrix.msc4108.errcode"], "M_CONCURRENT_WRITE");
        check_headers(&refused);
    }
    assert_eq!(get(&nobody, &path, None).await?.text, "two");
    let blind = nobody.request_with(Method::PUT, &path, &[TEXT], b"three".to_vec()).await?;
    expect_error(&blind, 400, "M_MISSING_PARAM");
    Ok(())
}

async fn a_rendezvous_ends(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let (path, etag) = begin(&nobody, "x").await?;
    assert_eq!(nobody.request_with(Method::DELETE, &path, &[], Vec::new()).await?.status, 204);
    expect_error(&get(&nobody, &path, None).await?, 404, "M_NOT_FOUND");
    expect_error(&put(&nobody, &path, &etag, "y").await?, 404, "M_NOT_FOUND");
    expect_error(&nobody.request_with(Method::DELETE, &path, &[], Vec::new()).await?, 404, "M_NOT_FOUND");
    expect_error(&get(&nobody, &format!("{PATH}/none"), None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn contents_are_limited(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let (path, etag) = begin(&nobody, &"x".repeat(4_096)).await?;
    let large = vec![b'x'; 4_097];
    for (method, path) in [(Method::POST, PATH), (Method::PUT, path.as_str())] {
        let headers = [TEXT, ("if-match", etag.as_str())];
        let reply = nobody.request_with(method.clone(), path, &headers, large.clone()).await?;
        expect_error(&reply, 413, "M_TOO_LARGE");
        let other = [("content-type", "application/json"), ("if-match", etag.as_str())];
        let reply = nobody.request_with(method.clone(), path, &other, b"{}".to_vec()).await?;
        expect_error(&reply, 400, "M_INVALID_PARAM");
        let reply = nobody.request_with(method, path, &[("if-match", etag.as_str())], b"x".to_vec()).await?;
        expect_error(&reply, 400, "M_MISSING_PARAM");
    }
    Ok(())
}
