/* The contracts of the ID codec, for Frama-C's WP (tests/frama/run): what validating, packing and
 * unpacking do for every layout of four bytes, every part and every number, with no undefined
 * behaviour on the way. The functions are the product's own, included below; the contracts stand
 * here, so that the product's file stays readable.
 *
 * That unpacking is the reverse of packing follows with tests/unit/test_id_widths.c: the contracts
 * say that both are made of shifts, | and & alone, which work on every bit by itself, and that test
 * tries every bit under every layout.
 */
#include <snowfleet/id.h>

/* Where the fields begin, added up as C does it. */
#define AT_WORKER(l)     ((unsigned)(l)->sequence_bits)
#define AT_DATACENTER(l) ((unsigned)(AT_WORKER(l) + (l)->worker_bits))
#define AT_TIMESTAMP(l)  ((unsigned)(AT_DATACENTER(l) + (l)->datacenter_bits))

/*@
  predicate usable(struct sf_layout l) =
    1 <= l.timestamp_bits <= 63 && l.datacenter_bits <= 62 && l.worker_bits <= 62 &&
    l.sequence_bits <= 62 &&
    l.timestamp_bits + l.datacenter_bits + l.worker_bits + l.sequence_bits == 63;
  logic integer width_max(integer bits) =
    bits == 0 ? 0 : 18446744073709551615 >> (64 - bits);
  predicate fits(struct sf_layout l, struct sf_id_parts p) =
    p.timestamp_ms <= width_max(l.timestamp_bits) &&
    p.datacenter <= width_max(l.datacenter_bits) &&
    p.worker <= width_max(l.worker_bits) && p.sequence <= width_max(l.sequence_bits);
*/

/*@
  requires \valid_read(layout) && (ret_reason == \null || \valid(ret_reason));
  requires \separated(layout, ret_reason);
  assigns *ret_reason;
  ensures \result == 0 || \result == -22;
  ensures \result == 0 <==> usable(*layout);
*/
int sf_layout_validate(const struct sf_layout *layout, const char **ret_reason);

/*@
  requires bits <= 63;
  assigns \nothing;
  ensures \result == width_max(bits);
*/
static uint64_t max_of(unsigned bits);

/*@
  requires \valid_read(layout) && usable(*layout);
  assigns \nothing;
  ensures \result == width_max(layout->timestamp_bits);
*/
uint64_t sf_layout_max_timestamp(const struct sf_layout *layout);
/*@
  requires \valid_read(layout) && usable(*layout);
  assigns \nothing;
  ensures \result == width_max(layout->datacenter_bits);
*/
uint64_t sf_layout_max_datacenter(const struct sf_layout *layout);
/*@
  requires \valid_read(layout) && usable(*layout);
  assigns \nothing;
  ensures \result == width_max(layout->worker_bits);
*/
uint64_t sf_layout_max_worker(const struct sf_layout *layout);
/*@
  requires \valid_read(layout) && usable(*layout);
  assigns \nothing;
  ensures \result == width_max(layout->sequence_bits);
*/
uint64_t sf_layout_max_sequence(const struct sf_layout *layout);

/*@
  requires \valid_read(layout) && \valid_read(parts) && \valid(ret_id);
  requires \separated(ret_id, layout) && \separated(ret_id, parts);
  assigns *ret_id;
  ensures \result == 0 <==> (usable(*layout) && fits(*layout, *parts));
  ensures \result == -22 <==> !usable(*layout);
  ensures \result != 0 ==> *ret_id == \old(*ret_id);
  ensures \result == 0 ==> *ret_id ==
    ((uint64_t)(\old(parts->timestamp_ms) << AT_TIMESTAMP(layout)) |
     (uint64_t)(\old(parts->datacenter) << AT_DATACENTER(layout)) |
     (uint64_t)(\old(parts->worker) << AT_WORKER(layout)) | \old(parts->sequence));
*/
int sf_id_encode(const struct sf_layout *layout, const struct sf_id_parts *parts, uint64_t *ret_id);

/*@
  requires \valid_read(layout) && \valid(ret_parts) && \separated(ret_parts, layout);
  assigns *ret_parts;
  ensures \result == 0 <==> (usable(*layout) && id <= 9223372036854775807);
  ensures \result == -22 <==> !usable(*layout);
  ensures \result == 0 ==> (\let p = *ret_parts;
    p.timestamp_ms == id >> AT_TIMESTAMP(layout) &&
    p.datacenter == ((id >> AT_DATACENTER(layout)) & width_max(layout->datacenter_bits)) &&
    p.worker == ((id >> AT_WORKER(layout)) & width_max(layout->worker_bits)) &&
    p.sequence == (id & width_max(layout->sequence_bits)));
*/
int sf_id_decode(const struct sf_layout *layout, uint64_t id, struct sf_id_parts *ret_parts);

#include "../../src/id/layout.c"
