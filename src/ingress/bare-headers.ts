/**
 * Has no prototype's members, so that nothing can be found in it that nobody sent. An object
 * without any prototype would do too, but V8 keeps those as hash tables.
 */
export class BareHeaders {
  [name: string]: string | string[] | undefined;
}
Reflect.deleteProperty(BareHeaders.prototype, "constructor");
Object.setPrototypeOf(BareHeaders.prototype, null);
