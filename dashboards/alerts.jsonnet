// alerts.yaml: `jsonnet -S alerts.jsonnet`. With `--tla-str hurry=1s` every `for` and interval is that: for tests that do not wait.
local rules = import 'rules.libsonnet';
function(hurry='')
  '# Made by dashboards/generate from rules.libsonnet; do not edit.\n' + std.manifestYamlDoc(
    if hurry == '' then rules else {
      groups: [
        g { interval: hurry, rules: [if std.objectHas(r, 'for') && r['for'] != '0s' then r { 'for': hurry } else r for r in g.rules] }
        for g in rules.groups
      ],
    }, indent_array_in_object=true, quote_keys=false
  )
