{{- define "snowfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "snowfleet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "snowfleet.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "snowfleet.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "snowfleet.image" -}}
{{- $i := .Values.image -}}
{{- $repository := ternary (printf "%s/%s" $i.registry $i.repository) $i.repository (ne $i.registry "") -}}
{{- if $i.digest -}}{{ $repository }}@{{ $i.digest }}{{- else -}}{{ $repository }}:{{ $i.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* Labels that select: dict "root" $ "component" name */}}
{{- define "snowfleet.selector" -}}
app.kubernetes.io/name: {{ include "snowfleet.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "snowfleet.labels" -}}
{{ include "snowfleet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: snowfleet
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: dict "root" $ "component" name "name" name "annotations" dict */}}
{{- define "snowfleet.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "snowfleet.labels" . | nindent 2 }}
{{- with .labels }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "snowfleet.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "snowfleet.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "snowfleet.coordinatorUrl" -}}
{{- $c := .Values.coordinator -}}
{{- $s := $c.tls.enabled | ternary "s" "" -}}
{{- if .Values.devCoordinator.enabled -}}
zk://{{ include "snowfleet.fullname" . }}-dev-coordinator:2181
{{- else if $c.zookeeper.endpoints -}}
zk{{ $s }}://{{ join "," $c.zookeeper.endpoints }}{{ $c.zookeeper.chroot }}
{{- else -}}
etcd{{ $s }}://{{ join "," $c.etcd.endpoints }}{{ $c.etcd.prefix }}
{{- end -}}
{{- end -}}

{{- define "snowfleet.podSecurity" -}}
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.runAsUser) }}
runAsUser: {{ int .Values.runAsUser }}
runAsGroup: {{ int .Values.runAsUser }}
fsGroup: {{ int .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "snowfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.runAsUser) }}
runAsUser: {{ int .Values.runAsUser }}
runAsGroup: {{ int .Values.runAsUser }}
{{- end }}
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where pods of this chart may go. */}}
{{- define "snowfleet.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
dnsPolicy: {{ .Values.dnsPolicy }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Secrets that the coordinator's credentials come from. */}}
{{- define "snowfleet.coordinatorVolumes" -}}
{{- $c := .Values.coordinator -}}
{{- if $c.auth.username }}
- name: coordinator-auth
  secret:
    secretName: {{ $c.auth.existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ $c.auth.passwordKey }}, path: password}
{{- end }}
{{- if and $c.tls.enabled $c.tls.existingSecret }}
- name: coordinator-tls
  secret:
    secretName: {{ $c.tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "snowfleet.coordinatorMounts" -}}
{{- $c := .Values.coordinator -}}
{{- if $c.auth.username }}
- {name: coordinator-auth, mountPath: /etc/snowfleet/coordinator-auth, readOnly: true}
{{- end }}
{{- if and $c.tls.enabled $c.tls.existingSecret }}
- {name: coordinator-tls, mountPath: /etc/snowfleet/coordinator-tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "snowfleet.tlsSecret" -}}
{{- .Values.clients.tls.existingSecret | default (printf "%s-tls" (include "snowfleet.fullname" .)) -}}
{{- end -}}

{{/* Volumes and mounts of whoever asks for IDs. */}}
{{- define "snowfleet.clientVolumes" -}}
{{- if .Values.clients.tls.enabled }}
- name: client-tls
  secret:
    secretName: {{ include "snowfleet.tlsSecret" . }}
    defaultMode: 0440
{{- end }}
{{- if .Values.clients.tokens.existingSecret }}
- name: client-tokens
  secret:
    secretName: {{ .Values.clients.tokens.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "snowfleet.clientMounts" -}}
{{- if .Values.clients.tls.enabled }}
- {name: client-tls, mountPath: /etc/snowfleet/tls, readOnly: true}
{{- end }}
{{- if .Values.clients.tokens.existingSecret }}
- {name: client-tokens, mountPath: /etc/snowfleet/tokens, readOnly: true}
{{- end }}
{{- end -}}

{{- define "snowfleet.clientArgs" -}}
{{- $t := .Values.clients.tls -}}
- --server
- {{ include "snowfleet.fullname" . }}-headless:7450
{{- if $t.enabled }}
- --tls-ca
- /etc/snowfleet/tls/ca.crt
- --tls-name
- {{ $t.serverName | default (include "snowfleet.fullname" .) }}
{{- if $t.requireClientCertificate }}
- --tls-cert
- /etc/snowfleet/tls/tls.crt
- --tls-key
- /etc/snowfleet/tls/tls.key
{{- end }}
{{- end }}
{{- if .Values.clients.tokens.existingSecret }}
- --token-file
- /etc/snowfleet/tokens/{{ .Values.clients.tokens.proberKey }}
{{- end }}
{{- end -}}

{{/* "yes" where nobody can have minted: Helm itself installs, and a living API server (every namespace of one has this account) knows no
     Deployment of this release. Under `helm template`, and so under Argo CD, nothing is known: not said there. */}}
{{- define "snowfleet.first" -}}
{{- $first := toString .Values.init.first -}}
{{- if eq $first "true" -}}yes
{{- else if and (eq $first "auto") .Release.IsInstall (eq (int .Values.fleet.otherReplicas) 0) -}}
{{- if and (lookup "v1" "ServiceAccount" .Release.Namespace "default") (not (lookup "apps/v1" "Deployment" .Release.Namespace (include "snowfleet.fullname" .))) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where `init` asks workers: the data port says it in the clear and to everybody, or else the admin port does. */}}
{{- define "snowfleet.askPort" -}}
{{- if or .Values.clients.tls.enabled .Values.clients.tokens.existingSecret -}}7451{{- else -}}7450{{- end -}}
{{- end -}}

{{/* The configuration file: what the chart sets, over .Values.config. */}}
{{- define "snowfleet.config" -}}
{{- $v := .Values -}}
{{- $c := $v.coordinator -}}
{{- $config := deepCopy $v.config -}}
{{- $fleet := dict "name" $v.fleet.name "datacenter" (int $v.fleet.datacenter) "slots_per_worker" (int $v.fleet.slotsPerWorker) "coordinator" (include "snowfleet.coordinatorUrl" .) "auto_init" $v.devCoordinator.enabled -}}
{{- if $v.devCoordinator.enabled }}{{ $_ := set $fleet "auto_init_first" true }}{{ end -}}
{{- with $v.fleet.expectId }}{{ $_ := set $fleet "expect_id" . }}{{ end -}}
{{- with $v.fleet.expectEpochMs }}{{ $_ := set $fleet "expect_epoch_ms" . }}{{ end -}}
{{- with $v.fleet.expectLayout }}{{ $_ := set $fleet "expect_layout" . }}{{ end -}}
{{- $coordinator := dict "session_timeout_ms" (int $c.sessionTimeoutMs) -}}
{{- if $c.auth.username -}}
{{- $_ := set $coordinator "username" $c.auth.username -}}
{{- $_ := set $coordinator "password_file" "/etc/snowfleet/coordinator-auth/password" -}}
{{- end -}}
{{- if and $c.tls.enabled $c.tls.existingSecret -}}
{{- with $c.tls.caKey }}{{ $_ := set $coordinator "tls_ca" (printf "/etc/snowfleet/coordinator-tls/%s" .) }}{{ end -}}
{{- with $c.tls.certKey }}{{ $_ := set $coordinator "tls_cert" (printf "/etc/snowfleet/coordinator-tls/%s" .) }}{{ end -}}
{{- with $c.tls.keyKey }}{{ $_ := set $coordinator "tls_key" (printf "/etc/snowfleet/coordinator-tls/%s" .) }}{{ end -}}
{{- end -}}
{{- $listen := dict "address" ":7450" -}}
{{- if $v.http.enabled -}}
{{- $_ := set $listen "http_address" ":7452" -}}
{{- end -}}
{{- if $v.clients.tls.enabled -}}
{{- $_ := set $listen "tls_cert" "/etc/snowfleet/tls/tls.crt" -}}
{{- $_ := set $listen "tls_key" "/etc/snowfleet/tls/tls.key" -}}
{{- if $v.clients.tls.requireClientCertificate }}{{ $_ := set $listen "tls_client_ca" "/etc/snowfleet/tls/ca.crt" }}{{ end -}}
{{- end -}}
{{- if $v.clients.tokens.existingSecret -}}
{{- $_ := set $listen "token_file" (printf "/etc/snowfleet/tokens/%s" $v.clients.tokens.key) -}}
{{- end -}}
{{- $drain := dict "delay_ms" (include "snowfleet.drainDelayMs" . | int) "timeout_ms" (int $v.drain.timeoutMs) -}}
{{/* The names of the Services as other namespaces write them, beside what the values allow. */}}
{{- $hosts := list -}}
{{- with dig "admin" "allowed_hosts" "" $v.config }}{{ $hosts = append $hosts . }}{{ end -}}
{{- range list "" "-headless" -}}
{{- $service := printf "%s%s.%s" (include "snowfleet.fullname" $) . $.Release.Namespace -}}
{{- $hosts = concat $hosts (list $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service)) -}}
{{- end -}}
{{- $ours := dict "fleet" $fleet "coordinator" $coordinator "listen" $listen "drain" $drain "admin" (dict "address" ":7451" "allowed_hosts" (join "," $hosts)) "reservation" (dict "state_dir" "/run/snowfleet") -}}
{{- mergeOverwrite $config $ours | toPrettyJson -}}
{{- end -}}

{{- define "snowfleet.sleepAction" -}}
{{- if and (gt (int .Values.drain.preStopSleepSeconds) 0) (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}yes{{- end -}}
{{- end -}}

{{- define "snowfleet.drainDelayMs" -}}
{{- if include "snowfleet.sleepAction" . -}}
{{- int .Values.drain.delayMs -}}
{{- else -}}
{{- add (int .Values.drain.delayMs) (mul 1000 (int .Values.drain.preStopSleepSeconds)) -}}
{{- end -}}
{{- end -}}

{{- define "snowfleet.maxReplicas" -}}
{{- .Values.autoscaling.enabled | ternary (int .Values.autoscaling.maxReplicas) (int .Values.replicaCount) -}}
{{- end -}}

{{/* Pods that an update may start beside them, as Kubernetes rounds: up. */}}
{{- define "snowfleet.surge" -}}
{{- $surge := toString .Values.updateStrategy.maxSurge -}}
{{- $max := include "snowfleet.maxReplicas" . | int -}}
{{- if hasSuffix "%" $surge -}}
{{- div (add (mul $max (trimSuffix "%" $surge | int)) 99) 100 -}}
{{- else -}}
{{- $surge | int -}}
{{- end -}}
{{- end -}}

{{- define "snowfleet.slots" -}}
{{- $bits := index (splitList "," .Values.fleet.layout) 2 | int -}}
{{- $slots := 1 -}}
{{- range until $bits }}{{ $slots = mul $slots 2 }}{{ end -}}
{{- $slots -}}
{{- end -}}

{{/* What can only go wrong in the cluster otherwise. */}}
{{- define "snowfleet.validate" -}}
{{- $v := .Values -}}
{{- $c := $v.coordinator -}}
{{- $chosen := 0 -}}
{{- if $c.zookeeper.endpoints }}{{ $chosen = add1 $chosen }}{{ end -}}
{{- if $c.etcd.endpoints }}{{ $chosen = add1 $chosen }}{{ end -}}
{{- if $v.devCoordinator.enabled }}{{ $chosen = add1 $chosen }}{{ end -}}
{{- if eq (int $chosen) 0 -}}
{{- fail "no coordinator: set coordinator.zookeeper.endpoints or coordinator.etcd.endpoints (to try things out without one: devCoordinator.enabled=true)" -}}
{{- end -}}
{{- if gt (int $chosen) 1 -}}
{{- fail "more than one coordinator: set only one of coordinator.zookeeper.endpoints, coordinator.etcd.endpoints and devCoordinator.enabled; a fleet that is kept in two places mints duplicates" -}}
{{- end -}}
{{- $bits := 0 -}}
{{- range splitList "," $v.fleet.layout }}{{ $bits = add $bits (int .) }}{{ end -}}
{{- if ne (int $bits) 63 -}}
{{- fail (printf "fleet.layout %s has %d bits; timestamp, datacenter, worker and sequence must add up to 63" $v.fleet.layout $bits) -}}
{{- end -}}
{{- if lt (splitList "," $v.fleet.layout | first | int) 1 -}}
{{- fail (printf "fleet.layout %s has no timestamp" $v.fleet.layout) -}}
{{- end -}}
{{- $datacenterBits := index (splitList "," $v.fleet.layout) 1 | int -}}
{{- $datacenters := 1 -}}
{{- range until $datacenterBits }}{{ $datacenters = mul $datacenters 2 }}{{ end -}}
{{- if ge (int $v.fleet.datacenter) (int $datacenters) -}}
{{- fail (printf "fleet.datacenter %d does not fit fleet.layout %s, which has datacenters 0 to %d" (int $v.fleet.datacenter) $v.fleet.layout (sub $datacenters 1)) -}}
{{- end -}}
{{- $listed := false -}}
{{- range $v.fleet.datacenters }}{{ if eq (int .) (int $v.fleet.datacenter) }}{{ $listed = true }}{{ end }}{{ end -}}
{{- if and $v.fleet.datacenters (not $listed) -}}
{{- fail (printf "fleet.datacenter %d is not one of fleet.datacenters" (int $v.fleet.datacenter)) -}}
{{- end -}}
{{- $max := include "snowfleet.maxReplicas" . | int -}}
{{- $surge := include "snowfleet.surge" . | int -}}
{{- $slots := include "snowfleet.slots" . | int -}}
{{- $need := add (mul (add $max $surge (int $v.fleet.otherReplicas)) (int $v.fleet.slotsPerWorker)) (int $v.fleet.spareSlots) | int -}}
{{- if gt $need $slots -}}
{{- fail (printf "the layout is too small: %d workers + %d of updateStrategy.maxSurge + %d fleet.otherReplicas, with %d slots each, + %d fleet.spareSlots need %d slots, and fleet.layout %s has %d in a datacenter; lower autoscaling.maxReplicas or replicaCount, or use another datacenter number" $max $surge (int $v.fleet.otherReplicas) (int $v.fleet.slotsPerWorker) (int $v.fleet.spareSlots) $need $v.fleet.layout $slots) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas %d is over autoscaling.maxReplicas %d" (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (eq $v.autoscaling.metric "cpu") (eq (int $v.autoscaling.targetCPU) 0) -}}
{{- fail "autoscaling has nothing to go by: autoscaling.metric=cpu needs autoscaling.targetCPU" -}}
{{- end -}}
{{- $keda := $v.autoscaling.keda -}}
{{- if and $keda.enabled (not $v.autoscaling.enabled) -}}
{{- fail "autoscaling.keda.enabled says how, autoscaling.enabled whether: set both" -}}
{{- end -}}
{{- if and $keda.enabled (eq $v.autoscaling.metric "saturation") (not $keda.serverAddress) -}}
{{- fail "autoscaling.keda.enabled needs autoscaling.keda.serverAddress: KEDA asks Prometheus for the saturation (or autoscaling.metric=cpu)" -}}
{{- end -}}
{{- if and (has (toString $v.updateStrategy.maxSurge) (list "0" "0%")) (has (toString $v.updateStrategy.maxUnavailable) (list "0" "0%")) -}}
{{- fail "updateStrategy.maxSurge and updateStrategy.maxUnavailable are both 0: no pod could ever be replaced" -}}
{{- end -}}
{{- $needMs := add (mul 1000 (int $v.drain.preStopSleepSeconds)) (int $v.drain.delayMs) (int $v.drain.timeoutMs) 5000 | int -}}
{{- if gt $needMs (mul 1000 (int $v.terminationGracePeriodSeconds) | int) -}}
{{- fail (printf "terminationGracePeriodSeconds %d is too short: drain.preStopSleepSeconds + drain.delayMs + drain.timeoutMs + 5 s to release the slot make %d ms; a worker killed before that leaves its slot resting" (int $v.terminationGracePeriodSeconds) $needMs) -}}
{{- end -}}
{{- if and $c.auth.username (not $c.auth.existingSecret) -}}
{{- fail "coordinator.auth.username needs coordinator.auth.existingSecret with its password" -}}
{{- end -}}
{{- if and $c.auth.existingSecret (not $c.auth.username) -}}
{{- fail "coordinator.auth.existingSecret needs coordinator.auth.username" -}}
{{- end -}}
{{- if and $v.devCoordinator.enabled (or $c.auth.username $c.tls.enabled) -}}
{{- fail "devCoordinator has neither users nor TLS" -}}
{{- end -}}
{{- if ne (empty $c.tls.certKey) (empty $c.tls.keyKey) -}}
{{- fail "coordinator.tls.certKey and coordinator.tls.keyKey belong together" -}}
{{- end -}}
{{- if and $c.tls.certKey (not $c.tls.existingSecret) -}}
{{- fail "coordinator.tls.certKey needs coordinator.tls.existingSecret" -}}
{{- end -}}
{{- if and $v.clients.tls.enabled (not $v.clients.tls.existingSecret) (not $v.clients.tls.certificate.create) -}}
{{- fail "clients.tls.enabled needs clients.tls.existingSecret, or clients.tls.certificate.create" -}}
{{- end -}}
{{- if and $v.clients.tls.certificate.create (not $v.clients.tls.enabled) -}}
{{- fail "clients.tls.certificate.create makes a certificate that nobody uses: set clients.tls.enabled" -}}
{{- end -}}
{{- if and $v.clients.tls.certificate.create (not $v.clients.tls.certificate.issuerRef.name) -}}
{{- fail "clients.tls.certificate.create needs clients.tls.certificate.issuerRef.name" -}}
{{- end -}}
{{- if and $v.gateway.enabled (not $v.gateway.parentRefs) -}}
{{- fail "gateway.enabled needs gateway.parentRefs: a route without a Gateway takes nobody anywhere" -}}
{{- end -}}
{{- if and $v.service.nodePort (eq $v.service.type "ClusterIP") -}}
{{- fail "service.nodePort needs service.type NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and (or $v.service.loadBalancerClass $v.service.loadBalancerSourceRanges) (ne $v.service.type "LoadBalancer") -}}
{{- fail "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer" -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor together would scrape every worker twice: enable one" -}}
{{- end -}}
{{- if and $v.priorityClass.create $v.priorityClassName -}}
{{- fail "priorityClass.create makes the class that is used: leave priorityClassName empty" -}}
{{- end -}}
{{- end -}}

{{/* "2181,2182": the ports of the coordinator's endpoints, each once. */}}
{{- define "snowfleet.coordinatorPorts" -}}
{{- $ports := list -}}
{{- range concat .Values.coordinator.zookeeper.endpoints .Values.coordinator.etcd.endpoints }}{{ $ports = append $ports (splitList ":" . | last) }}{{ end -}}
{{- if .Values.devCoordinator.enabled }}{{ $ports = append $ports "2181" }}{{ end -}}
{{- $ports | uniq | join "," -}}
{{- end -}}

{{- define "snowfleet.integers" -}}
{{- $out := list -}}{{- range . }}{{ $out = append $out (int . | toString) }}{{ end -}}{{- join "," $out -}}
{{- end -}}

{{/* What pods that ask the fleet have in common: dict "root" $ */}}
{{- define "snowfleet.clientPod" -}}
serviceAccountName: {{ include "snowfleet.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "snowfleet.podSecurity" .root | nindent 2 }}
{{- include "snowfleet.placement" .root | nindent 0 }}
volumes:
  - name: tmp
    emptyDir:
      medium: Memory
      sizeLimit: 1Mi
  {{- include "snowfleet.clientVolumes" .root | nindent 2 }}
{{- end -}}

{{/* Recording rules and alerts with the settings of this release. */}}
{{- define "snowfleet.rules" -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $text := .Files.Get "files/alerts.yaml" -}}
{{- range $name, $value := $rule.settings -}}
{{- $text = replace (printf "@%s@" $name) (toString $value) $text -}}
{{- end -}}
{{- $known := list -}}
{{- $groups := list -}}
{{- range (fromYaml $text).groups -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- if .alert -}}
{{- $known = append $known .alert -}}
{{- $labels := merge (dict) (dict "severity" (get $rule.severity .alert | default .labels.severity)) $rule.alertLabels -}}
{{- if not (has .alert $rule.disabled) -}}
{{- $for := get $rule.for .alert | default (get . "for") -}}
{{- $rules = append $rules (merge (dict "labels" $labels "for" $for) (omit . "labels" "for")) -}}
{{- end -}}
{{- else -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- $groups = append $groups (merge (dict "rules" $rules) (omit . "rules")) -}}
{{- end -}}
{{- range concat $rule.disabled (keys $rule.severity) (keys $rule.for) -}}
{{- if not (has . $known) -}}
{{- fail (printf "metrics.prometheusRule: there is no alert %q; there are %s" . (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "groups" $groups) -}}
{{- end }}
