// The few parts of Grafana's dashboard model that the dashboards use (schema version 39).
local c = import 'config.libsonnet';
local ds = { type: 'prometheus', uid: '${datasource}' };
local picked = 'cluster=~"$cluster",namespace=~"$namespace",fleet=~"$fleet",datacenter=~"$datacenter",worker=~"$worker"';

local target(expr, legend, i, extra={}) = {
  datasource: ds,
  refId: std.char(65 + i),
  expr: expr,
  legendFormat: legend,
  editorMode: 'code',
  range: true,
} + extra;
local targets(list) = std.mapWithIndex(function(i, t) target(t[0], t[1], i), list);

local steps(list) = { mode: 'absolute', steps: [{ color: s[0], value: s[1] } for s in list] };

local panel(type, title, description, unit, list) = {
  type: type,
  title: title,
  description: description,
  datasource: ds,
  targets: targets(list),
  fieldConfig: { defaults: { unit: unit, custom: {}, thresholds: steps([['green', null]]) }, overrides: [] },
  options: {},
};

{
  picked: picked,
  info: c.info(picked),
  steps: steps,

  // Lines over time.
  lines(title, description, unit, list):: panel('timeseries', title, description, unit, list) {
    fieldConfig+: { defaults+: { custom: { drawStyle: 'line', lineWidth: 1, fillOpacity: 8, showPoints: 'auto', spanNulls: false, stacking: { mode: 'none', group: 'A' } } } },
    options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] }, tooltip: { mode: 'multi', sort: 'desc' } },
  },
  stacked:: { fieldConfig+: { defaults+: { custom+: { fillOpacity: 40, stacking: { mode: 'normal', group: 'A' } } } } },
  // Limits drawn into the lines.
  limits(list):: { fieldConfig+: { defaults+: { thresholds: steps(list), custom+: { thresholdsStyle: { mode: 'dashed' } } } } },
  from_zero:: { fieldConfig+: { defaults+: { min: 0 } } },

  stat(title, description, unit, list, thresholds=[['green', null]]):: panel('stat', title, description, unit, list) {
    fieldConfig+: { defaults+: { thresholds: steps(thresholds) } },
    options: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, colorMode: 'value', graphMode: 'area', justifyMode: 'auto', textMode: 'auto', orientation: 'auto', wideLayout: true, showPercentChange: false, percentChangeColorMode: 'standard' },
  },

  bars(title, description, unit, list, thresholds=[['green', null]]):: panel('bargauge', title, description, unit, list) {
    fieldConfig+: { defaults+: { min: 0, thresholds: steps(thresholds) } },
    options: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, displayMode: 'gradient', orientation: 'horizontal', showUnfilled: true, minVizHeight: 16, minVizWidth: 8, valueMode: 'color', namePlacement: 'auto', sizing: 'auto', maxVizHeight: 300 },
  },

  // One row a worker, one colour a state.
  timeline(title, description, list, mappings):: panel('state-timeline', title, description, 'none', list) {
    fieldConfig+: { defaults+: {
      custom: { fillOpacity: 80, lineWidth: 0 },
      color: { mode: 'fixed', fixedColor: 'gray' },
      mappings: [{ type: 'value', options: { [std.toString(i)]: { text: mappings[i][0], color: mappings[i][1], index: i } for i in std.range(0, std.length(mappings) - 1) } }],
    } },
    options: { mergeValues: true, showValue: 'auto', alignValue: 'left', rowHeight: 0.9, legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] }, tooltip: { mode: 'single', sort: 'none' } },
  },

  // Rows of panels: [title, height, [panels]]; panels of a row share its 24 columns.
  layout(rows)::
    local place(row, y, first_id) = [
      { type: 'row', title: row[0], collapsed: false, id: first_id, gridPos: { h: 1, w: 24, x: 0, y: y }, panels: [] },
    ] + std.mapWithIndex(
      function(i, p)
        local w = std.floor(24 / std.length(row[2]));
        p { id: first_id + 1 + i, gridPos: { h: row[1], w: w, x: w * i, y: y + 1 } }, row[2]
    );
    std.foldl(function(all, row) {
      y: all.y + 1 + row[1],
      id: all.id + 1 + std.length(row[2]),
      panels: all.panels + place(row, all.y, all.id),
    }, rows, { y: 0, id: 1, panels: [] }).panels,

  local query_variable(name, label, query, multi) = {
    name: name,
    label: label,
    type: 'query',
    datasource: ds,
    query: { query: query, refId: 'variable-' + name },
    refresh: 2,
    sort: 3,
    includeAll: multi,
    multi: multi,
    hide: 0,
    regex: '',
    skipUrlSync: false,
    options: [],
  } + (if multi then { allValue: '.*', current: { selected: true, text: ['All'], value: ['$__all'] } } else {}),

  local annotation(name, color, expr, text) = {
    name: name,
    datasource: ds,
    enable: true,
    hide: false,
    iconColor: color,
    expr: expr,
    titleFormat: name,
    textFormat: text,
    step: '15s',
  },

  dashboard(uid, title, description, rows, one_worker):: {
    uid: uid,
    title: title,
    description: description,
    tags: ['snowfleet'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    timezone: 'browser',
    time: { from: 'now-1h', to: 'now' },
    timepicker: {},
    fiscalYearStartMonth: 0,
    links: [{ title: 'Snowfleet', type: 'dashboards', tags: ['snowfleet'], asDropdown: false, includeVars: true, keepTime: true, targetBlank: false, icon: 'external link', tooltip: '', url: '' }],
    templating: { list: [
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', hide: 0, includeAll: false, multi: false, options: [], refresh: 1, regex: '', skipUrlSync: false },
      query_variable('cluster', 'Cluster', 'label_values(snowfleet_worker_info, cluster)', true),
      query_variable('namespace', 'Namespace', 'label_values(snowfleet_worker_info{cluster=~"$cluster"}, namespace)', true),
      query_variable('fleet', 'Fleet', 'label_values(snowfleet_worker_info{cluster=~"$cluster",namespace=~"$namespace"}, fleet)', false),
      query_variable('datacenter', 'Datacenter', 'label_values(snowfleet_worker_info{cluster=~"$cluster",namespace=~"$namespace",fleet=~"$fleet"}, datacenter)', true),
      query_variable('worker', 'Worker', 'label_values(snowfleet_worker_info{%s}, worker)' % std.strReplace(picked, ',worker=~"$worker"', ''), !one_worker),
    ] },
    annotations: { list: [
      annotation('Restart', 'orange', '(changes(process_start_time_seconds[1m]) %s) > 0' % c.info(picked), '{{node}} {{instance}} started'),
      annotation('Drain', 'blue', '(snowfleet_state{state="draining"} %s) == 1' % c.info(picked), '{{datacenter}}/{{worker}} drains'),
      annotation('Clock step', 'purple', 'sum by (instance, direction) (increase(snowfleet_clock_steps_total[1m]) %s) > 0' % c.info(picked), '{{instance}} stepped {{direction}}'),
      annotation('Alert', 'red', 'ALERTS{alertname=~"Snowfleet.*",alertstate="firing"}', '{{alertname}} {{instance}}'),
    ] },
    panels: $.layout(rows),
  },
}
