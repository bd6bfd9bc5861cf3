/** Files that cannot be used end an example with one line, without the stack that only its author could read. */

/** What is promised; or, where the folder or its files are not what they should be, the process ends with status 2. */
export async function orExit<T>(promised: Promise<T>): Promise<T> {
  try {
    return await promised;
  } catch (error) {
    const { name, message } = error as Error;
    if (name !== 'UsageError' && name !== 'DataFileError') throw error;
    console.error(message);
    process.exit(2);
  }
}
