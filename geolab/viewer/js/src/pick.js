// Where a line of sight meets the model: the median depth, as in the rasterizer and the height models.
import { Quaternion, Vector3 } from "three";

const LEAST_ALPHA = 1 / 255; // as in the rasterizer
const BLUR_PX2 = 0.3; // its low-pass filter, pixels squared

/** The Gaussians' parameters in flat arrays, read once from Spark's packed form. */
export function flatten(splats) {
  const count = splats.getNumSplats();
  const flat = {
    count,
    centers: new Float32Array(3 * count),
    scales: new Float32Array(3 * count),
    turns: new Float32Array(4 * count),
    opacities: new Float32Array(count),
  };
  splats.forEachSplat((i, center, scale, quaternion, opacity) => {
    center.toArray(flat.centers, 3 * i);
    scale.toArray(flat.scales, 3 * i);
    quaternion.toArray(flat.turns, 4 * i);
    flat.opacities[i] = opacity;
  });
  return flat;
}

/**
 * The point at which half of the light along a ray is taken, or null where the model is thinner.
 * origin, direction (unit): Vector3. forward: the camera's axis, along which Gaussians are ordered.
 * pixel_rad: a pixel's angle. inside(x, y, z): false for what is cropped away.
 */
export function medianPoint(flat, { origin, direction, forward, pixel_rad, inside }) {
  const { count, centers, scales, turns, opacities } = flat;
  const met = [];
  const [turn, o, d] = [new Quaternion(), new Vector3(), new Vector3()];
  for (let i = 0; i < count; i++) {
    const [x, y, z] = [centers[3 * i], centers[3 * i + 1], centers[3 * i + 2]];
    const [rx, ry, rz] = [x - origin.x, y - origin.y, z - origin.z];
    const depth = rx * direction.x + ry * direction.y + rz * direction.z;
    if (depth <= 0) continue;
    const blur2 = BLUR_PX2 * (depth * pixel_rad) ** 2;
    const [sx, sy, sz] = [scales[3 * i], scales[3 * i + 1], scales[3 * i + 2]];
    const reach2 = 11.1 * (Math.max(sx * sx, sy * sy, sz * sz) + blur2); // 2 ln 255
    if (rx * rx + ry * ry + rz * rz - depth * depth > reach2) continue;
    if (inside && !inside(x, y, z)) continue;
    turn.fromArray(turns, 4 * i).conjugate();
    o.set(-rx, -ry, -rz).applyQuaternion(turn);
    d.copy(direction).applyQuaternion(turn);
    const [ix, iy, iz] = [1 / (sx * sx + blur2), 1 / (sy * sy + blur2), 1 / (sz * sz + blur2)];
    const dd = d.x * d.x * ix + d.y * d.y * iy + d.z * d.z * iz;
    const od = o.x * d.x * ix + o.y * d.y * iy + o.z * d.z * iz;
    const oo = o.x * o.x * ix + o.y * o.y * iy + o.z * o.z * iz;
    const alpha = Math.min(0.999, opacities[i] * Math.exp(-0.5 * (oo - (od * od) / dd)));
    if (alpha < LEAST_ALPHA) continue;
    const order = rx * forward.x + ry * forward.y + rz * forward.z;
    if (order > 0) met.push([order, alpha, -od / dd]);
  }
  met.sort((one, other) => one[0] - other[0]);
  let left = 1;
  for (const [, alpha, along] of met) {
    left *= 1 - alpha;
    if (left <= 0.5) return origin.clone().addScaledVector(direction, along);
  }
  return null;
}
