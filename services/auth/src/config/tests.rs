use super::*;

fn flows(change: impl FnOnce(&mut Config)) -> Vec<Vec<&'static str>> {
    let mut config = Config { open_registration: true, token_registration: false, ..Config::default() };
    change(&mut config);
    let names = |flow: Flow| flow.into_iter().map(|stage| stage.name().trim_start_matches("m.login.")).collect();
    config.registration_flows().into_iter().map(names).collect()
}

fn with_email(config: &mut Config) {
    "localhost".clone_into(&mut config.email.host);
}

#[test]
fn flows_follow_from_what_is_required() {
    assert_eq!(flows(|config| config.open_registration = false), Vec::<Vec<&str>>::new());
    assert_eq!(flows(|_| {}), [["dummy"]]);
    assert_eq!(flows(|config| config.token_registration = true), [["dummy"], ["registration_token"]]);
    assert_eq!(flows(with_email), [["dummy"], ["email.identity"]]);
    let required = |config: &mut Config| {
        with_email(config);
        config.registration.require_email = true;
    };
    assert_eq!(flows(required), [["email.identity"]]);
    let everything = |config: &mut Config| {
        required(config);
        config.token_registration = true;
        config.registration.require_captcha = true;
        config.registration.require_terms = true;
    };
    assert_eq!(
        flows(everything),
        [["recaptcha", "terms", "email.identity"], ["registration_token", "terms", "email.identity"]]
    );
    let optional = |config: &mut Config| {
        with_email(config);
        config.token_registration = true;
        config.open_registration = false;
    };
    assert_eq!(flows(optional), [["registration_token", "dummy"], ["registration_token", "email.identity"]]);
    let captcha = |config: &mut Config| config.registration.require_captcha = true;
    assert_eq!(flows(captcha), [["recaptcha"]]);
    let terms = |config: &mut Config| config.registration.require_terms = true;
    assert_eq!(flows(terms), [["terms", "dummy"]]);
}

/// Otherwise the shorter one would be complete on the way to the longer one.
#[test]
fn no_flow_is_the_beginning_of_another() {
    for bits in 0..64_u8 {
        let bit = |number: u8| bits & (1 << number) != 0;
        let flows = flows(|config| {
            config.open_registration = bit(0);
            config.token_registration = bit(1);
            config.registration.require_captcha = bit(2);
            config.registration.require_terms = bit(3);
            if bit(4) {
                with_email(config);
                config.registration.require_email = bit(5);
            }
        });
        assert!(flows.iter().all(|flow| !flow.is_empty()), "{bits:b}");
        for flow in &flows {
            let unfinished = &flow[..flow.len() - 1];
            let complete = flows.iter().find(|other| other.iter().all(|stage| unfinished.contains(stage)));
            assert_eq!(complete, None, "{flows:?}");
        }
    }
}

#[test]
fn what_cannot_work_is_said() {
    let check = |change: &dyn Fn(&mut Config), url: Option<&str>| {
        let mut config = Config::default();
        change(&mut config);
        config.check(url)
    };
    assert_eq!(check(&|_| {}, None), Ok(()));
    let complete = |config: &mut Config| {
        with_email(config);
        "a@example.org".clone_into(&mut config.email.from);
    };
    assert_eq!(check(&complete, Some("https://example.org")), Ok(()));
    assert!(check(&complete, None).unwrap_err().contains("client_base_url"));
    assert!(check(&with_email, Some("https://example.org")).unwrap_err().contains("from"));
    assert!(check(&|config| config.registration.require_email = true, None).unwrap_err().contains("auth.email"));
    assert!(check(&|config| config.registration.require_captcha = true, None).unwrap_err().contains("captcha"));
    assert!(check(&|config| config.registration.require_terms = true, None).unwrap_err().contains("terms"));
    assert!(check(&|config| "key".clone_into(&mut config.captcha.site_key), None).unwrap_err().contains("secret"));
}
