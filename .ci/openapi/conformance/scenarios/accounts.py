"""Registration, sessions, passwords, profiles, devices, and what else belongs to an account."""

import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..client import PASSWORD, Session
from . import World


def discovery(world: World) -> None:
    nobody, alice = world.nobody, world.nobody.register("alice")
    nobody.call("getVersions")
    alice.call("getVersions")
    nobody.call("getWellknown", expect={200, 404})
    nobody.call("getWellknownSupport", expect={200, 404})
    alice.call("getCapabilities")


def registration(world: World) -> None:
    nobody, name = world.nobody, f"reg-{secrets.token_hex(4)}"
    nobody.call("checkUsernameAvailability", query={"username": name})
    nobody.call("checkUsernameAvailability", query={"username": "Not A Name!"}, expect=(400, "M_INVALID_USERNAME"))
    nobody.call("checkUsernameAvailability", expect=(400, "M_MISSING_PARAM"))
    body = {"username": name, "password": PASSWORD, "device_id": "FIRST", "refresh_token": True}
    stages = nobody.call("register", body, expect=401)
    nobody.call("register", {**body, "auth": {"type": "m.login.nonsense", "session": stages["session"]}}, expect={400, 401})
    made = nobody.call("register", {**body, "auth": {"type": "m.login.dummy", "session": stages["session"]}})
    nobody.session(made).call("getTokenOwner")
    nobody.call("checkUsernameAvailability", query={"username": name}, expect=(400, "M_USER_IN_USE"))
    nobody.call("register", body, expect=(400, "M_USER_IN_USE"))
    nobody.call("register", {**body, "username": "Not A Name!"}, expect=(400, "M_INVALID_USERNAME"))
    nobody.call("register", {**body, "username": f"{name}-weak", "password": "1", "auth": {"type": "m.login.dummy"}}, expect={400, 401})
    nobody.call("register", {}, query={"kind": "alien"}, expect={400, 403})
    nobody.call("register", b"{", expect=(400, "M_NOT_JSON"))
    nobody.call("register", b"[]", expect=(400, "M_BAD_JSON"))
    nobody.call("register", {"username": 7}, expect=(400, "M_BAD_JSON"))
    silent = {"username": f"{name}-2", "password": PASSWORD, "inhibit_login": True, "auth": {"type": "m.login.dummy"}}
    nobody.call("register", silent)
    nobody.call("registrationTokenValidity", query={"token": "nonsense"}, expect={200, 403})
    nobody.call("registrationTokenValidity", expect=(400, "M_MISSING_PARAM"))


def guests(world: World) -> None:
    made = world.nobody.call("register", {"initial_device_display_name": "browser"}, query={"kind": "guest"}, expect={200, 403})
    if "access_token" not in made:
        return
    guest = world.nobody.session(made)
    guest.call("getTokenOwner")
    full = {"username": guest.localpart, "password": PASSWORD, "guest_access_token": guest.token, "auth": {"type": "m.login.dummy"}}
    world.nobody.call("register", full)


def logging_in(world: World) -> None:
    nobody, alice = world.nobody, world.nobody.register("alice")
    nobody.call("getLoginFlows")
    identifier = {"type": "m.id.user", "user": alice.user_id}
    password = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
    nobody.call("login", password)
    nobody.call("login", {"type": "m.login.password", "user": alice.localpart, "password": PASSWORD})
    nobody.call("login", {**password, "device_id": alice.device_id, "initial_device_display_name": "again"})
    nobody.call("login", {**password, "password": "wrong"}, expect=(403, "M_FORBIDDEN"))
    nobody.call("login", {**password, "identifier": {"type": "m.id.user", "user": "nobody-at-all"}}, expect=(403, "M_FORBIDDEN"))
    nobody.call(
        "login",
        {**password, "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "x@example.org"}},
        expect=(403, "M_FORBIDDEN"),
    )
    nobody.call("login", {**password, "identifier": {"type": "m.id.nonsense"}}, expect={400, 403})
    nobody.call("login", {"type": "m.login.nonsense"}, expect=400)
    nobody.call("login", {"type": "m.login.password", "identifier": identifier}, expect=400)
    nobody.call("login", {}, expect=400)
    nobody.call("login", b"{", expect=(400, "M_NOT_JSON"))

    fresh = nobody.login(alice, refresh_token=True)
    renewed = nobody.call("refresh", {"refresh_token": fresh.extra["refresh_token"]})
    again = Session(world.server, renewed["access_token"], alice.user_id, fresh.device_id)
    again.call("getTokenOwner")
    nobody.call("refresh", {"refresh_token": "nonsense"}, expect=(401, "M_UNKNOWN_TOKEN"))
    nobody.call("refresh", {}, expect=400)

    alice = nobody.login(alice)
    one_time = alice.call_with_password("generateLoginToken", {})["login_token"]
    nobody.call("login", {"type": "m.login.token", "token": one_time})
    nobody.call("login", {"type": "m.login.token", "token": one_time}, expect=(403, "M_FORBIDDEN"))
    again.call("logout")
    again.expect_ended()
    alice.call("logout_all")
    alice.expect_ended()


def passwords(world: World) -> None:
    nobody, alice = world.nobody, world.nobody.register("alice")
    other = nobody.login(alice)
    body = {"new_password": PASSWORD, "logout_devices": False}
    stages = alice.call("changePassword", body, expect=401)
    wrong = {**alice.password_stage(stages["session"]), "password": "wrong"}
    alice.call("changePassword", {**body, "auth": wrong}, expect={401, 403})
    alice.call("changePassword", {**body, "auth": alice.password_stage(stages["session"])})
    other.call("getTokenOwner")
    alice.call_with_password("changePassword", {"new_password": PASSWORD, "logout_devices": True})
    other.expect_ended()
    alice.call("getTokenOwner")
    nobody.call("changePassword", body, expect=401)
    alice.call("changePassword", {"new_password": 7}, expect=(400, "M_BAD_JSON"))


def deactivation(world: World) -> None:
    nobody, alice, bob = world.nobody, world.nobody.register("alice"), world.nobody.register("bob")
    nobody.call("deactivateAccount", {}, expect=401)
    bob.call_with_password("deactivateAccount", {"erase": True})
    alice.call_with_password("deactivateAccount", {})
    alice.expect_ended()
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.localpart}, "password": PASSWORD}
    nobody.call("login", body, expect=(403, "M_USER_DEACTIVATED"))
    nobody.call("checkUsernameAvailability", query={"username": alice.localpart}, expect=(400, "M_USER_IN_USE"))


def devices(world: World) -> None:
    nobody, alice = world.nobody, world.nobody.register("alice")
    extra = [nobody.login(alice).device_id for _ in range(3)]
    alice.call("getDevices")
    alice.call("getDevice", deviceId=alice.device_id)
    alice.call("getDevice", deviceId="NONE", expect=(404, "M_NOT_FOUND"))
    alice.call("updateDevice", {"display_name": "phone"}, deviceId=extra[0])
    alice.call("updateDevice", {"display_name": "phone"}, deviceId="NONE", expect=(404, "M_NOT_FOUND"))
    alice.call_with_password("deleteDevice", {}, deviceId=extra[0])
    alice.call_with_password("deleteDevices", {"devices": extra[1:]})
    alice.call("deleteDevices", {}, expect=400)


def profiles(world: World) -> None:
    nobody, alice, bob = world.nobody, world.nobody.register("alice"), world.nobody.register("bob")
    mine = {"userId": alice.user_id}
    alice.call("setProfileField", {"displayname": "Alice"}, keyName="displayname", **mine)
    alice.call("setProfileField", {"avatar_url": "mxc://example.org/abc"}, keyName="avatar_url", **mine)
    alice.call("setProfileField", {"m.tz": "Europe/London"}, keyName="m.tz", **mine)
    alice.call("setProfileField", {"org.example.x": {"deep": [1, None]}}, keyName="org.example.x", **mine)
    for key in ["displayname", "avatar_url", "m.tz", "org.example.x"]:
        nobody.call("getProfileField", keyName=key, **mine)
    nobody.call("getProfileField", keyName="org.example.none", expect=(404, "M_NOT_FOUND"), **mine)
    nobody.call("getUserProfile", **mine)
    bob.call("getUserProfile", **mine)
    nobody.call("getUserProfile", userId=f"@none:{alice.server_name}", expect=(404, "M_NOT_FOUND"))
    nobody.call("getUserProfile", userId="none", expect=400)
    bob.call("setProfileField", {"displayname": "Eve"}, keyName="displayname", expect=(403, "M_FORBIDDEN"), **mine)
    alice.call("setProfileField", {"m.tz": "x" * 70_000}, keyName="m.tz", expect=400, **mine)
    alice.call("setProfileField", {"k" * 256: 1}, keyName="k" * 256, expect=400, **mine)
    alice.call("setProfileField", {}, keyName="org.example.x", expect=400, **mine)
    alice.call("deleteProfileField", keyName="org.example.x", **mine)
    alice.call("deleteProfileField", keyName="displayname", **mine)
    bob.call("deleteProfileField", keyName="avatar_url", expect=(403, "M_FORBIDDEN"), **mine)


def people(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    room = alice.call("createRoom", {"preset": "public_chat"})["room_id"]
    bob.call("joinRoomById", roomId=room)
    bob.call("setProfileField", {"displayname": "Bob B."}, userId=bob.user_id, keyName="displayname")
    alice.call("searchUserDirectory", {"search_term": bob.localpart, "limit": 1})
    alice.call("searchUserDirectory", {"search_term": ""})
    alice.call("searchUserDirectory", {}, expect=400)
    alice.call("getMutualRooms", query={"user_id": bob.user_id})
    alice.call("getMutualRooms", query={"user_id": alice.user_id}, expect=(400, "M_INVALID_PARAM"))
    alice.call("getMutualRooms", query={"user_id": bob.user_id, "from": "nonsense"}, expect=(400, "M_INVALID_PARAM"))
    alice.call("requestOpenIdToken", userId=alice.user_id)
    alice.call("requestOpenIdToken", userId=bob.user_id, expect=(403, "M_FORBIDDEN"))
    event = bob.call("sendMessage", {"msgtype": "m.text", "body": "x"}, roomId=room, eventType="m.room.message", txnId="1")["event_id"]
    alice.call("reportRoom", {"reason": "spam"}, roomId=room)
    alice.call("reportRoom", {"reason": "spam"}, roomId="!none:example.org", expect={200, 404})
    alice.call("reportEvent", {"reason": "spam", "score": -100}, roomId=room, eventId=event)
    alice.call("reportEvent", {"reason": "spam"}, roomId=room, eventId="$none", expect=(404, "M_NOT_FOUND"))
    alice.call("reportUser", {"reason": "spam"}, userId=bob.user_id)
    alice.call("reportUser", {"reason": "spam"}, userId=f"@none:{alice.server_name}", expect={200, 404})
    alice.call("reportUser", {}, userId=bob.user_id, expect=400)


def third_party_networks(world: World) -> None:
    alice = world.nobody.register("alice")
    alice.call("getProtocols")
    for operation in ["getProtocolMetadata", "queryLocationByProtocol", "queryUserByProtocol"]:
        alice.call(operation, protocol="irc", expect=(404, "M_NOT_FOUND"))
    alice.call("queryLocationByAlias", query={"alias": f"#x:{alice.server_name}"}, expect={200, 404})
    alice.call("queryUserByID", query={"userid": alice.user_id}, expect={200, 404})


def contacts_without_mail(world: World) -> None:
    nobody, alice = world.nobody, world.nobody.register("alice")
    alice.call("getAccount3PIDs")
    phone = {"client_secret": "secret", "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    for operation in ["requestTokenToRegisterMSISDN", "requestTokenToResetPasswordMSISDN", "requestTokenTo3PIDMSISDN"]:
        (alice if operation == "requestTokenTo3PIDMSISDN" else nobody).call(operation, phone, expect={400, 403})
    unproven = {"sid": "1", "client_secret": "secret"}
    for operation, body in [("add3PID", unproven), ("post3PIDs", {"three_pid_creds": unproven})]:
        asked = alice.call(operation, body, expect={400, 401, 403})
        if "session" in asked:
            alice.call(operation, {**body, "auth": alice.password_stage(asked["session"])}, expect={400, 403})
    identity = {"id_server": "id.example.org", "id_access_token": "x"}
    alice.call("bind3PID", {**unproven, **identity}, expect={400, 403})
    alice.call("unbind3pidFromAccount", {"medium": "email", "address": "a@example.org"})
    alice.call("delete3pidFromAccount", {"medium": "email", "address": "a@example.org"})
    alice.call("delete3pidFromAccount", {}, expect=400)


def contacts(world: World) -> None:
    """With mails, if there is an inbox; else how they are refused."""
    nobody, alice = world.nobody, world.nobody.register("alice")
    requests = ["requestTokenToRegisterEmail", "requestTokenToResetPasswordEmail", "requestTokenTo3PIDEmail"]
    if world.inbox is None:
        for operation in requests:
            nobody.call(operation, _request_mail("x@example.org"), expect={400, 403})
        return
    for operation in requests:
        nobody.call(operation, {**_request_mail("x@example.org"), "email": "nonsense"}, expect=400)
        nobody.call(operation, {"email": "x@example.org"}, expect=400)

    address = f"{secrets.token_hex(4)}@example.org"
    unproven = _ask_for_mail(alice, "requestTokenTo3PIDEmail", address)
    asked = alice.call("add3PID", unproven, expect=401)
    stage = alice.password_stage(asked["session"])
    alice.call("add3PID", {**unproven, "auth": stage}, expect={400, 403})
    _follow(world, address)
    alice.call_with_password("add3PID", unproven)
    alice.call("getAccount3PIDs")

    proven = _ask_for_mail(nobody, "requestTokenToResetPasswordEmail", address)
    _follow(world, address)
    body = {"new_password": PASSWORD, "logout_devices": False}
    session = nobody.call("changePassword", body, expect=401)["session"]
    nobody.call("changePassword", {**body, "auth": {"type": "m.login.email.identity", "threepid_creds": proven, "session": session}})
    nobody.call(
        "login",
        {
            "type": "m.login.password",
            "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": address},
            "password": PASSWORD,
        },
    )
    nobody.call("requestTokenToRegisterEmail", _request_mail(address), expect={200, 400})
    for _ in range(10):
        nobody.call("requestTokenToResetPasswordEmail", _request_mail(address), expect={200, 429})
    alice.call("bind3PID", {**proven, "id_server": "id.example.org", "id_access_token": "x"}, expect={400, 403})
    alice.call("delete3pidFromAccount", {"medium": "email", "address": address})

    newcomer = f"{secrets.token_hex(4)}@example.org"
    _ask_for_mail(nobody, "requestTokenToRegisterEmail", newcomer)
    _follow(world, newcomer)
    old = f"{secrets.token_hex(4)}@example.org"
    proven = _ask_for_mail(alice, "requestTokenTo3PIDEmail", old)
    _follow(world, old)
    body = {"three_pid_creds": proven}
    asked = alice.call("post3PIDs", body, expect={200, 401})
    if "session" in asked:
        alice.call("post3PIDs", {**body, "auth": alice.password_stage(asked["session"])})


def _request_mail(address: str) -> dict[str, Any]:
    return {"client_secret": secrets.token_hex(8), "email": address, "send_attempt": 1}


def _ask_for_mail(session: Session, operation: str, address: str) -> dict[str, str]:
    """What proves the address once the link in the mail was followed."""
    request = _request_mail(address)
    return {"sid": session.call(operation, request)["sid"], "client_secret": request["client_secret"]}


def _follow(world: World, address: str) -> None:
    """The link in the mail, and the button on its page if it has one."""
    link = world.inbox.link(address)
    world.server.send("GET", link)
    parts = urlsplit(link)
    world.server.send("POST", parts.path, data=dict(parse_qsl(parts.query)))
