use matrixon_runtime::clock::Clock;

use super::*;

fn limiter(limits: RateLimits) -> (Limiter, Cache) {
    let cache = Cache::local(&matrixon_cache::Config::default(), Clock::manual(1_000_000));
    (Limiter::new(cache.clone(), limits), cache)
}

fn limits() -> RateLimits {
    RateLimits { message: Limit { per_second: 1.0, burst: 2.0 }, ..RateLimits::default() }
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_limit_holds_over_all_gateways() {
    let (one, cache) = limiter(limits());
    let other = Limiter::new(cache, limits());
    assert_eq!(one.check(LimitClass::Message, Some("@a:x"), HERE).await, Ok(()));
    assert_eq!(other.check(LimitClass::Message, Some("@a:x"), HERE).await, Ok(()));
    let refused = other.check(LimitClass::Message, Some("@a:x"), HERE).await.unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.errcode.as_str()), (429, "M_LIMIT_EXCEEDED"));
    assert!((900..=1_100).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
    assert_eq!(one.check(LimitClass::Message, Some("@b:x"), HERE).await, Ok(()));
}

#[tokio::test]
async fn logins_are_counted_by_address_and_neighbourhood() {
    let (limiter, _) = limiter(RateLimits { login: Limit { per_second: 0.1, burst: 1.0 }, ..RateLimits::default() });
    let [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|address| address.parse().unwrap());
    assert!(limiter.check(LimitClass::Login, Some("@a:x"), a).await.is_ok());
    assert!(limiter.check(LimitClass::Login, Some("@b:x"), b).await.is_err());
    assert!(limiter.check(LimitClass::Login, None, c).await.is_ok());
}

#[tokio::test]
async fn limits_can_be_off_and_change_while_running() {
    let (limiter, _) = limiter(RateLimits { enabled: false, ..limits() });
    for _ in 0..1_000 {
        assert!(limiter.check(LimitClass::Message, Some("@a:x"), HERE).await.is_ok());
    }
    limiter.set_limits(limits());
    for _ in 0..2 {
        assert!(limiter.check(LimitClass::Message, Some("@a:x"), HERE).await.is_ok());
    }
    assert!(limiter.check(LimitClass::Message, Some("@a:x"), HERE).await.is_err());
    for _ in 0..1_000 {
        assert!(limiter.check(LimitClass::Read, Some("@a:x"), HERE).await.is_ok());
        assert!(limiter.check(LimitClass::None, Some("@a:x"), HERE).await.is_ok());
    }
}
