"""Values that make no sense end `helm template` with a sentence that names them."""
from render import Fault, ci, template

# what is set over ci/development-values.yaml → what the message must say
CASES = [
    (["serverName="], "serverName is not set"),
    (["serverName=https://example.org"], "serverName is `https://example.org`"),
    (["host=https://example.org"], "host is `https://example.org`"),
    (["gateway.replicas=0"], "gateway.replicas is 0"),
    (["auth.replicas=0"], "auth.replicas is 0"),
    (["room.replicas=0"], "room.replicas is 0"),
    (["defaults.replicas=0"], "replicas is 0"),
    (["auth.replicas=3", "auth.autoscaling.enabled=true"], "auth.replicas is 3 and autoscaling is on"),
    (["auth.replicas=3", "defaults.autoscaling.enabled=true"], "auth.replicas is 3 and autoscaling is on"),
    (["sync.autoscaling.enabled=true", "sync.autoscaling.minReplicas=9", "sync.autoscaling.maxReplicas=3"], "sync.autoscaling.minReplicas is 9"),
    (["room.autoscaling.enabled=true", "room.autoscaling.targetOwnMetric=5"], "room.autoscaling.targetOwnMetric"),
    (["gateway.maxSurge=0"], "gateway.maxSurge and gateway.maxUnavailable are both 0"),
    (["ingress.enabled=true"], "host is not set"),
    (["httpRoute.enabled=true"], "host is not set"),
    (["httpRoute.enabled=true", "host=a.example.org"], "httpRoute.parentRefs is empty"),
    (["secrets.signingKey.existingSecret=a", "secrets.signingKey.generate=true"], "secrets.signingKey.generate is true and secrets.signingKey.existingSecret"),
    (["secrets.signingKey.existingSecret=a", "secrets.signingKey.value=b"], "both secrets.signingKey.value and secrets.signingKey.existingSecret"),
    (["secrets.clusterSecret.generate=false"], "secrets.clusterSecret.generate is false"),
    (["secrets.clusterSecret.value=short"], "secrets.clusterSecret.value is too short"),
    (["secrets.clusterSecret.previousValue=short"], "secrets.clusterSecret.previousValue is too short"),
    ([f"secrets.clusterSecret.previousValue={'a' * 32}", "secrets.clusterSecret.existingSecret=a"], "both secrets.clusterSecret.previousValue and"),
    (["secrets.clusterSecret.previousKey="], "/secrets/clusterSecret/previousKey"),
    (["nats.enabled=false"], "bus.url is not set"),
    (["redis.enabled=false"], "cache.url is not set"),
    (["postgresql.enabled=false"], "database.url is not set"),
    (["database.url=postgres://a"], "both postgresql.enabled and database.url"),
    (["database.existingSecret=a"], "both postgresql.enabled and database.existingSecret"),
    (["cache.url=redis://a"], "both redis.enabled and cache.url"),
    (["migrations.mode=hook"], "migrations.mode is hook"),
    (["service.type=ClusterIP"], "service.nodePort is 30008 and service.type is ClusterIP"),
    # what the schema refuses
    (["gatway.replicas=1"], "'gatway' not allowed"),
    (["gateway.replica=1"], "'replica' not allowed"),
    (["gateway.replicas=two"], "/gateway/replicas"),
    (["gateway.replicas=-1"], "/gateway/replicas"),
    (["service.type=Nodeport"], "/service/type"),
    (["migrations.mode=maybe"], "/migrations/mode"),
]


def are_refused():
    for sets, expected in CASES:
        code, _, error = template(ci("development"), sets=sets)
        if code == 0:
            raise Fault(f"{sets} renders, but should fail with `{expected}`")
        if expected not in error:
            raise Fault(f"{sets} fails without saying `{expected}`: {error}")


ALL = [are_refused]
