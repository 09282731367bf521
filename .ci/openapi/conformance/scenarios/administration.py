"""What administrators may do with accounts."""

from . import World


def administration(world: World) -> None:
    alice, bob = world.nobody.register("alice"), world.nobody.register("bob")
    nobody_at_all = f"@none:{alice.server_name}"
    alice.call("getWhoIs", userId=alice.user_id)
    for operation, body in [
        ("getAdminLockUser", None),
        ("getAdminSuspendUser", None),
        ("setAdminLockUser", {"locked": True}),
        ("setAdminSuspendUser", {"suspended": True}),
    ]:
        alice.call(operation, body, userId=bob.user_id, expect=(403, "M_FORBIDDEN"))
    if world.admin is None:
        world.server.report.note("no administrator (--admin-token): locking, suspending and who-is were only refused")
        return
    admin = world.admin
    admin.call("getWhoIs", userId=bob.user_id)
    admin.call("getAdminLockUser", userId=nobody_at_all, expect=(404, "M_NOT_FOUND"))
    admin.call("getAdminSuspendUser", userId=nobody_at_all, expect=(404, "M_NOT_FOUND"))
    admin.call("setAdminLockUser", {}, userId=bob.user_id, expect=400)
    admin.call("setAdminSuspendUser", {}, userId=bob.user_id, expect=400)
    admin.call("setAdminLockUser", {"locked": True}, userId="@none:example.org", expect={400, 404})
    admin.call("setAdminLockUser", {"locked": True}, userId=admin.user_id, expect=(403, "M_FORBIDDEN"))
    admin.call("setAdminSuspendUser", {"suspended": True}, userId=admin.user_id, expect=(403, "M_FORBIDDEN"))
    for value in [True, False]:
        admin.call("setAdminLockUser", {"locked": value}, userId=bob.user_id)
        admin.call("getAdminLockUser", userId=bob.user_id)
        admin.call("setAdminSuspendUser", {"suspended": value}, userId=bob.user_id)
        admin.call("getAdminSuspendUser", userId=bob.user_id)
