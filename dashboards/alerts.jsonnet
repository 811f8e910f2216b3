// alerts.yaml: `jsonnet -S alerts.jsonnet`. With `--tla-str hurry=1s` every `for` and interval is that, and every range 15 s: for tests
// that do not wait; but who was ready within the last hour then was within four minutes, or nobody would be missed in time.
// With `--tla-code chart=true` every setting is a place that the chart fills: @minReady@.
local config = import 'config.libsonnet';
local make = import 'rules.libsonnet';
local short(expr) = std.foldl(function(e, range) std.strReplace(e, '[' + range + ']', '[15s]'), ['2m', '5m', '10m', '15m', '30m', '1h', '6h'],
                              std.strReplace(expr, ':sum[1h]', ':sum[4m]'));
function(hurry='', chart=false)
  local rules = make(if chart then config { [name]: '@' + config.settings[name] + '@' for name in std.objectFields(config.settings) } else config);
  '# Made by dashboards/generate from rules.libsonnet; do not edit.\n' + std.manifestYamlDoc(
    if hurry == '' then rules else {
      groups: [
        g { interval: hurry, rules: [
          r { expr: short(super.expr) } + (if std.objectHas(r, 'for') && r['for'] != '0s' then { 'for': hurry } else {})
          for r in g.rules
        ] }
        for g in rules.groups
      ],
    }, indent_array_in_object=true, quote_keys=true  // unquoted costs jsonnet 0.18 half a minute; generate takes the quotes away
  )
