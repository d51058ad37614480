"""Pods with one field made weaker, which Pod Security `restricted` must refuse."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from support.kubectl import Json

GONE: Final = object()


@dataclass(frozen=True)
class Soft:
    """A weaker value of one field (a dotted path), and words of the refusal."""

    field: str
    refusal: str
    _: KW_ONLY
    to: Any

    @property
    def name(self) -> str:
        """The field and its weaker value."""
        return f"{self.field}: {'removed' if self.to is GONE else self.to}"

    def applied(self, holder: Json) -> None:
        """Change the field in a pod's spec or a container."""
        *parents, last = self.field.split(".")
        for key in parents:
            holder = holder.setdefault(key, {})
        if self.to is GONE:
            del holder[last]
        else:
            holder[last] = self.to


_SECURITY: Final = (
    Soft("securityContext.runAsNonRoot", "must not set securityContext.runAsNonRoot=false", to=False),
    Soft("securityContext.runAsUser", "must not set runAsUser=0", to=0),
    Soft(
        "securityContext.seccompProfile", "must not set securityContext.seccompProfile.type", to={"type": "Unconfined"}
    ),
    Soft("securityContext.appArmorProfile", "must not set AppArmor profile type", to={"type": "Unconfined"}),
    Soft("securityContext.seLinuxOptions", 'seLinuxOptions: type "spc_t"', to={"type": "spc_t"}),
    Soft("securityContext.seLinuxOptions", "seLinuxOptions: user may not be set", to={"user": "system_u"}),
    Soft("securityContext.seLinuxOptions", "seLinuxOptions: role may not be set", to={"role": "system_r"}),
)
"""Fields that a pod and each of its containers have."""

CONTAINER: Final = (
    *_SECURITY,
    Soft("securityContext", "must set securityContext.allowPrivilegeEscalation=false", to=GONE),
    Soft(
        "securityContext.allowPrivilegeEscalation", "must set securityContext.allowPrivilegeEscalation=false", to=True
    ),
    Soft(
        "securityContext.allowPrivilegeEscalation", "must set securityContext.allowPrivilegeEscalation=false", to=GONE
    ),
    Soft("securityContext.capabilities", 'must set securityContext.capabilities.drop=["ALL"]', to=GONE),
    Soft("securityContext.capabilities.drop", 'must set securityContext.capabilities.drop=["ALL"]', to=["NET_RAW"]),
    Soft("securityContext.capabilities.add", 'must not include "NET_ADMIN"', to=["NET_ADMIN"]),
    Soft("securityContext.capabilities.add", 'must not include "SYS_ADMIN"', to=["SYS_ADMIN"]),
    Soft("ports", "uses hostPort 9999", to=[{"containerPort": 9999, "hostPort": 9999}]),
)

POD: Final = (
    *_SECURITY,
    Soft("securityContext", "must set securityContext.seccompProfile.type", to=GONE),
    Soft("securityContext.seccompProfile", "must set securityContext.seccompProfile.type", to=GONE),
    Soft("securityContext.sysctls", "forbidden sysctls (kernel.msgmax)", to=[{"name": "kernel.msgmax", "value": "1"}]),
    Soft("hostNetwork", "hostNetwork", to=True),  # contradicts network sysctls, if the pod has any
    Soft("hostPID", "host namespaces (hostPID=true)", to=True),
    Soft("hostIPC", "host namespaces (hostIPC=true)", to=True),
)

ADDED: Final = (
    Soft("volumes", 'restricted volume type "hostPath"', to={"name": "soft", "hostPath": {"path": "/"}}),
    Soft("volumes", 'restricted volume type "nfs"', to={"name": "soft", "nfs": {"server": "nas", "path": "/"}}),
    Soft("containers", 'container "soft" must set', to={"name": "soft", "image": "soft:1"}),
    Soft("initContainers", 'container "soft" must set', to={"name": "soft", "image": "soft:1"}),
)
"""One more item of a list in a pod."""

CONTRADICTIONS: Final = (
    Soft(
        "securityContext.privileged", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true", to=True
    ),
    Soft("securityContext.procMount", "`hostUsers` must be false to use `Unmasked`", to="Unmasked"),
    Soft("securityContext.windowsOptions", "hostNetwork must be true", to={"hostProcess": True}),
)
"""Values that are refused before Pod Security is asked, since they contradict another field of the container."""


def _container_lists(template: Json) -> Iterator[tuple[str, int]]:
    for kind in ("initContainers", "containers"):
        for index in range(len(template["spec"].get(kind, []))):
            yield kind, index


def mutants(template: Json) -> Iterator[tuple[str, str, Json]]:
    """For every field of a pod and of each container: what is weaker, the words of its refusal, and the pod."""
    for soft in POD:
        mutant = copy.deepcopy(template)
        soft.applied(mutant["spec"])
        yield soft.name, soft.refusal, mutant
    for soft in ADDED:
        mutant = copy.deepcopy(template)
        mutant["spec"].setdefault(soft.field, []).append(soft.to)
        yield soft.name, soft.refusal, mutant
    for kind, index in _container_lists(template):
        for soft in (*CONTAINER, *CONTRADICTIONS):
            mutant = copy.deepcopy(template)
            soft.applied(mutant["spec"][kind][index])
            yield f"{kind}[{index}].{soft.name}", soft.refusal, mutant
