// Cameras of photos (OpenCV axes, pixels) as cameras of three (OpenGL axes), and back.
import { Matrix4, Quaternion, Vector3 } from "three";

const FLIP = new Matrix4().makeScale(1, -1, -1); // OpenCV: y down, z forward; OpenGL: y up, z backward

/** { position, quaternion } of a camera whose pose is given as 16 numbers, row by row, world to camera. */
export function poseOf(camera) {
  const matrix = new Matrix4().set(...camera.world_to_camera).invert().multiply(FLIP);
  const [position, quaternion] = [new Vector3(), new Quaternion()];
  matrix.decompose(position, quaternion, new Vector3());
  return { position, quaternion };
}

/** The 16 numbers, row by row, of a three camera's world to camera matrix in OpenCV axes. */
export function worldToCamera(camera) {
  const m = camera.matrixWorld.clone().multiply(FLIP).invert();
  return m.clone().transpose().elements.slice();
}

/**
 * The photo's intrinsics [fx, fy, cx, cy] for a canvas of width x height: the whole photo in its middle,
 * as large as it fits.
 */
export function fitted(camera, width, height) {
  const scale = Math.min(width / camera.width, height / camera.height);
  const [fx, fy, cx, cy] = camera.K;
  return [
    fx * scale,
    fy * scale,
    width / 2 + scale * (cx - camera.width / 2),
    height / 2 + scale * (cy - camera.height / 2),
  ];
}

/** Write a projection that maps like K = [fx, fy, cx, cy], pixels of a canvas, into a three camera. */
export function project(camera, [fx, fy, cx, cy], width, height) {
  const { near, far } = camera;
  camera.projectionMatrix.set(
    (2 * fx) / width, 0, 1 - (2 * cx) / width, 0,
    0, (2 * fy) / height, (2 * cy) / height - 1, 0,
    0, 0, -(far + near) / (far - near), (-2 * far * near) / (far - near),
    0, 0, -1, 0,
  );
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
}

/** [fx, fy, cx, cy] of a three camera on a canvas of width x height, whichever way it was set. */
export function intrinsics(camera, width, height) {
  const m = camera.projectionMatrix.elements; // column by column
  return [
    (m[0] * width) / 2,
    (m[5] * height) / 2,
    ((1 - m[8]) * width) / 2,
    ((1 + m[9]) * height) / 2,
  ];
}

/** The corners of the photo's frustum at a depth, and its centre: five points. */
export function frustum(camera, depth) {
  const [fx, fy, cx, cy] = camera.K;
  const toWorld = new Matrix4().set(...camera.world_to_camera).invert();
  const corner = (u, v) =>
    new Vector3(((u - cx) / fx) * depth, ((v - cy) / fy) * depth, depth).applyMatrix4(toWorld);
  const { width: w, height: h } = camera;
  return [
    new Vector3().applyMatrix4(toWorld),
    corner(0, 0), corner(w, 0), corner(w, h), corner(0, h),
  ];
}
